"""The command: exit codes, where each output goes, and that the person's words reach the person's script."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

import msgspec
import pytest

from tests.sample_reports import HEALTHY, MEASUREMENT, SICK, SUSPECTED, UNRECORDED
from unstuck import __version__, cli
from unstuck.cli.parser import Refused, read
from unstuck.diagnosis.model import Diagnosis, FileChange, Patch, Statement
from unstuck.diagnosis.patch import diff, digest
from unstuck.recording import session
from unstuck.recording.budget import DEFAULT, Limits, limits
from unstuck.recording.script import Target

BEFORE, AFTER = "lr = 10.0\nprint(lr)\n", "lr = 0.1\nprint(lr)\n"


@dataclass(frozen=True)
class Options:
    """As the pipeline's."""

    prove: bool = True
    effort: float = 1.0
    uncontained: bool = False
    ask: str = ""


@dataclass
class Stage:
    """A folder with a script, and a pipeline that says what a test wants to hear."""

    folder: Path
    report: Diagnosis = HEALTHY
    error: Exception | None = None
    options: Options | None = None
    recorded: tuple[object, ...] = ()
    code: int = 0
    leaves_tape: bool = True

    def diagnose(
        self, tape: Path, options: Options, progress: Callable[[str], None], reruns: object = None
    ) -> Diagnosis:
        assert (tape / "tape.json").exists()
        progress("looking")
        self.options = options
        if self.error is not None:
            raise self.error
        return self.report

    def record(
        self,
        target: Target,
        tape: Path,
        limits: Limits = DEFAULT,
        meanwhile: Callable[[Callable[[], bool]], object] = lambda over: None,
        meeting: Path | None = None,
    ) -> int:
        self.recorded = (target, limits)
        if self.leaves_tape:
            tape.mkdir()
            (tape / "tape.json").write_text("{}")
        return self.code


@pytest.fixture
def stage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Stage:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "train.py").write_text(BEFORE)
    made = Stage(tmp_path)
    pipeline = ModuleType("unstuck.diagnosis.pipeline")
    pipeline.diagnose, pipeline.Options = made.diagnose, Options  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "unstuck.diagnosis.pipeline", pipeline)
    monkeypatch.setattr(session, "record", made.record)
    return made


def with_patch(report: Diagnosis = SICK) -> Diagnosis:
    text = diff({"train.py": BEFORE}, {"train.py": AFTER})
    files = (FileChange("train.py", digest(BEFORE), AFTER),)
    return msgspec.structs.replace(report, patch=Patch("safe", True, text, ("set-rate",), files))


@pytest.mark.parametrize(
    ("report", "code"), [(HEALTHY, 0), (SICK, 1), (MEASUREMENT, 1), (SUSPECTED, 1), (UNRECORDED, 3)]
)
def test_exit_codes(stage: Stage, report: Diagnosis, code: int, capsys: pytest.CaptureFixture[str]) -> None:
    stage.report = report
    assert cli.main(["run", "train.py"]) == code
    out, err = capsys.readouterr()
    assert out == "" and err
    assert (stage.folder / "train.py").read_text() == BEFORE
    assert sorted(p.name for p in stage.folder.iterdir()) == ["train.py"]


def test_what_a_command_proves_is_something_to_act_on(stage: Stage) -> None:
    for proven, code in ((True, 1), (False, 0)):
        said = Statement("the rate is a millionth", None, "asked", proven=proven)
        stage.report = msgspec.structs.replace(HEALTHY, statements=(said,))
        assert cli.main(["run", "--ask", "a command", "train.py"]) == code
        assert stage.options == Options(ask="a command")


def test_failed_and_interrupted_scripts(stage: Stage) -> None:
    stage.report = msgspec.structs.replace(HEALTHY, stopped="script failed: OSError: gone")
    assert cli.main(["train.py"]) == 3
    stage.report = msgspec.structs.replace(SICK, stopped="script failed: OSError: gone")
    assert cli.main(["train.py"]) == 1
    stage.report = msgspec.structs.replace(HEALTHY, stopped="script failed: KeyboardInterrupt")
    assert cli.main(["train.py"]) == 0


def test_json_and_patch(stage: Stage, capsys: pytest.CaptureFixture[str]) -> None:
    stage.report = with_patch()
    assert cli.main(["run", "--json", "-", "--patch", "fix.patch", "--no-prove", "train.py"]) == 1
    assert json.loads(capsys.readouterr().out)["causes"][0]["fault"] == "input-offset"
    assert stage.options == Options(prove=False)
    subprocess.run(["git", "init", "-q"], check=True)
    subprocess.run(["git", "apply", "fix.patch"], check=True)
    assert (stage.folder / "train.py").read_text() == AFTER
    stage.report = HEALTHY
    assert cli.main(["run", "--rerun-uncontained", "--json=d.json", "--patch", "fix.patch", "train.py"]) == 0
    assert stage.options == Options(uncontained=True)
    assert (stage.folder / "fix.patch").read_text() == ""
    assert json.loads((stage.folder / "d.json").read_text())["learns"] is True


def test_write_keeps_the_original(stage: Stage, capsys: pytest.CaptureFixture[str]) -> None:
    stage.report = with_patch()
    assert cli.main(["--write", "train.py"]) == 1
    assert (stage.folder / "train.py").read_text() == AFTER
    assert (stage.folder / "train.py.orig").read_text() == BEFORE
    assert cli.main(["--write", "train.py"]) == 1
    assert "not applied: train.py: the file has changed since it was diagnosed" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "allowed", "effort"),
    [
        ([], DEFAULT, 1.0),
        (["--effort", "quick"], limits(effort=0.4), 0.4),
        (["--effort=thorough", "--seconds", "300"], limits(seconds=300.0), 4.0),
        (["--steps", "50"], limits(steps=50), 1.0),
    ],
)
def test_budgets_and_effort(stage: Stage, words: list[str], allowed: Limits, effort: float) -> None:
    assert cli.main(["run", *words, "train.py"]) == 0
    assert stage.recorded == (Target("train.py", None), allowed)
    assert stage.options == Options(effort=effort)


def test_quiet(stage: Stage, capsys: pytest.CaptureFixture[str]) -> None:
    stage.report = SICK
    cli.main(["run", "--quiet", "train.py"])
    err = capsys.readouterr().err
    assert err.startswith("train.py does not learn: accuracy 0.549") and "\nCause: input-offset.\n" in err
    assert "Next" not in err and "What was tried" not in err


def test_the_script_that_leaves_no_tape(stage: Stage, capsys: pytest.CaptureFixture[str]) -> None:
    stage.leaves_tape, stage.code = False, -signal.SIGKILL
    assert cli.main(["run", "--json", "d.json", "train.py"]) == 3
    assert "killed by SIGKILL" in capsys.readouterr().err
    assert json.loads((stage.folder / "d.json").read_text())["stopped"].startswith("script failed: killed by SIGKILL")


def test_a_failure_of_ours_is_one_line(stage: Stage, capsys: pytest.CaptureFixture[str]) -> None:
    stage.error = RuntimeError("first\nsecond")
    assert cli.main(["run", "--json", "d.json", "train.py"]) == 3
    err = capsys.readouterr().err
    assert "the diagnosis failed: RuntimeError: first" in err and "Traceback" not in err and "second" not in err
    assert json.loads((stage.folder / "d.json").read_text())["steps"] == 0


@pytest.mark.parametrize(
    "words",
    [
        ["run", "absent.py"],
        ["run"],
        ["run", "-m"],
        ["run", "-m", "absent_module"],
        ["run", "--json", "no/such/folder.json", "train.py"],
        ["run", "--json", ".", "train.py"],
        ["run", "--patch", "no/such.patch", "train.py"],
        ["record", "-o", ".", "train.py"],
        ["show", "absent"],
        ["prove", "absent"],
        ["fix", "absent"],
        ["explain", "input-ofset"],
    ],
)
def test_what_is_refused_in_one_line(stage: Stage, words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(words) == 2
    out, err = capsys.readouterr()
    assert out == "" and len(err.splitlines()) == 1 and err.startswith("unstuck: ")
    assert stage.recorded == ()


@pytest.mark.parametrize(
    "words", [["run", "--steps", "0", "train.py"], ["run", "--seconds", "nan", "x"], ["run", "--nonsense", "x"], []]
)
def test_what_argparse_refuses(words: list[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        cli.main(words)
    assert caught.value.code == 2


def test_a_syntax_error_is_shown_as_python_shows_it(stage: Stage, capsys: pytest.CaptureFixture[str]) -> None:
    (stage.folder / "train.py").write_text("x = = 1\n")
    assert cli.main(["run", "--json", "d.json", "train.py"]) == 3
    plain = subprocess.run([sys.executable, "train.py"], capture_output=True, text=True).stderr
    assert capsys.readouterr().err.startswith(plain)
    assert "SyntaxError" in json.loads((stage.folder / "d.json").read_text())["stopped"]
    assert stage.recorded == ()


@pytest.mark.parametrize(
    ("words", "target", "steps"),
    [
        (["train.py"], Target("train.py", None), None),
        (
            ["run", "train.py", "--steps", "5", "-m", "--", "x"],
            Target("train.py", None, ("--steps", "5", "-m", "--", "x")),
            None,
        ),
        (["--steps", "5", "train.py", "--json", "x"], Target("train.py", None, ("--json", "x")), 5),
        (["run", "--steps=5", "-m", "pack.mod", "--", "-m"], Target(None, "pack.mod", ("--", "-m")), 5),
        (["--quiet", "--", "-odd.py", "a"], Target("-odd.py", None, ("a",)), None),
        (["run", "show"], Target("show", None), None),
    ],
)
def test_whose_words(words: list[str], target: Target, steps: int | None) -> None:
    options, found = read(words)
    assert found == target
    assert options.steps == steps


def test_no_script() -> None:
    with pytest.raises(Refused, match="which script"):
        read(["run", "--steps", "3"])


def quick(code: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)


@pytest.mark.parametrize(
    "words", [["explain"], ["explain", "input-offset"], ["--help"], ["--version"], ["run", "--help"]]
)
def test_answers_without_torch(words: list[str]) -> None:
    code = f"""
import sys, atexit
atexit.register(lambda: print("heavy:", sorted({{"torch", "numpy", "scipy", "libcst"}} & set(sys.modules))))
import unstuck
from unstuck.cli.commands import main
sys.exit(main({words!r}))
"""
    done = quick(code)
    assert done.returncode == 0, done.stderr
    assert done.stdout.rstrip().endswith("heavy: []") and len(done.stdout) > 20


def test_python_m_unstuck() -> None:
    done = subprocess.run([sys.executable, "-m", "unstuck", "--version"], capture_output=True, text=True)
    assert done.stdout == f"unstuck {__version__}\n"


SCRIPT = """
import sys, torch, time
net = torch.nn.Linear(3, 1)
opt = torch.optim.SGD(net.parameters(), lr=0.1)
print("hello", sys.argv, file=sys.stdout, flush=True)
print("aside", file=sys.stderr)
for step in range(5):
    loss = net(torch.ones(4, 3)).pow(2).mean()
    opt.zero_grad(); loss.backward(); opt.step()
    print(step, flush=True)
"""


def command(*words: str) -> list[str]:
    return [sys.executable, "-m", "unstuck", *words]


def test_record_then_show(tmp_path: Path) -> None:
    (tmp_path / "train.py").write_text(SCRIPT + "sys.exit(7)\n")
    done = subprocess.run(
        command("record", "-o", "tape", "train.py", "--steps", "9"), cwd=tmp_path, capture_output=True, text=True
    )
    assert done.stdout == "hello ['train.py', '--steps', '9']\n0\n1\n2\n3\n4\n"
    assert done.stderr == "aside\nunstuck: the tape is tape\n"
    assert done.returncode == 7
    shown = subprocess.run(command("show", "tape"), cwd=tmp_path, capture_output=True, text=True)
    assert shown.returncode == 0, shown.stderr
    assert "5 optimizer steps" in shown.stdout and "train.py:8" in shown.stdout and "SGD, lr 0.1" in shown.stdout
    told = subprocess.run(command("dossier", "tape", "--no-prove"), cwd=tmp_path, capture_output=True, text=True)
    assert told.returncode == 0 and told.stdout.startswith("## run\nscript: train.py\n"), told.stderr
    assert "train.py:8" in told.stdout


@pytest.mark.net
def test_an_interrupt_leaves_a_tape(tmp_path: Path) -> None:
    (tmp_path / "train.py").write_text(SCRIPT + "time.sleep(60)\n")
    running = subprocess.Popen(
        command("record", "-o", "tape", "train.py"),
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),  # a shell's background ignores it
    )
    assert running.stdout is not None
    while running.stdout.readline() != "4\n":
        pass
    time.sleep(0.2)
    os.killpg(running.pid, signal.SIGINT)
    _, err = running.communicate(timeout=60)
    assert "KeyboardInterrupt" in err and "unstuck: the tape is tape" in err
    assert json.loads((tmp_path / "tape" / "tape.json").read_text())["steps"] == 5
