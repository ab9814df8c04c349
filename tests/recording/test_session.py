"""The command starts the recording child, works meanwhile, and passes the child's end on."""

from pathlib import Path

from unstuck.recording import session
from unstuck.recording.script import Target
from unstuck.tape.files import load


def test_what_is_done_meanwhile_is_done_in_this_thread_before_the_child_ends(tmp_path: Path) -> None:
    script = tmp_path / "waits.py"
    go = tmp_path / "go"
    script.write_text(f"import os, time\nwhile not os.path.exists({str(go)!r}):\n    time.sleep(0.01)\n1 / 0\n")
    code = session.record(Target(str(script), None), tmp_path / "tape", meanwhile=go.touch)
    assert code == 1
    assert load(tmp_path / "tape").stopped == "script failed: ZeroDivisionError: division by zero"


def test_a_child_that_leaves_no_tape_has_an_ending_in_words(tmp_path: Path) -> None:
    script = tmp_path / "killed.py"
    script.write_text("import os, signal\nos.kill(os.getpid(), signal.SIGKILL)\n")
    code = session.record(Target(str(script), None), tmp_path / "tape")
    assert session.ending(code) == "script failed: killed by SIGKILL (out of memory?)"
    assert not (tmp_path / "tape").exists()
