"""Processes of a run agree on a folder, on a stop, and on who waits for whom, without a word over the network."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from unstuck.recording.ranks import Meeting, alive, alone, launched


@pytest.fixture(autouse=True)
def _scratch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))


def _environment(rank: int, port: str = "29500", world: int = 2) -> dict[str, str]:
    return {"RANK": str(rank), "WORLD_SIZE": str(world), "MASTER_ADDR": "localhost", "MASTER_PORT": port}


def test_the_ranks_of_a_launch_meet_in_one_folder_and_those_of_another_elsewhere() -> None:
    first, second, other = (launched(_environment(*of)) for of in ((0, "1"), (1, "1"), (0, "2")))
    assert first and second and other
    assert (first.rank, second.rank, first.world) == (0, 1, 2)
    assert first.folder == second.folder != other.folder
    assert first.folder.stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize(
    "environment", [{}, {"RANK": "0"}, {"RANK": "0", "WORLD_SIZE": "1"}, {"RANK": "", "WORLD_SIZE": "2"}]
)
def test_a_process_alone_is_not_launched(environment: dict[str, str]) -> None:
    assert launched(environment) is None


def test_what_a_launcher_told_one_process_is_left_out_for_a_new_launch() -> None:
    environment = {
        **_environment(1),
        "LOCAL_RANK": "1",
        "TORCHELASTIC_RUN_ID": "x",
        "OMP_NUM_THREADS": "1",
        "PATH": "p",
    }
    assert alone(environment) == {"OMP_NUM_THREADS": "1", "PATH": "p"}


def test_the_first_announced_step_is_the_one_at_which_all_stop(tmp_path: Path) -> None:
    one, other = Meeting(tmp_path / "m"), Meeting(tmp_path / "m")
    assert one.stop() is None
    one.announce(12)
    other.announce(14)
    assert one.stop() == other.stop() == 12
    assert [f.name for f in (tmp_path / "m").iterdir()] == ["stop"]


def test_a_process_that_is_gone_or_has_left_is_not_waited_for(tmp_path: Path) -> None:
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    (tmp_path / str(gone.pid)).mkdir()
    assert not alive(gone.pid)
    assert alive(os.getpid())
    meeting = Meeting(tmp_path)
    meeting.join("train.py")
    assert Meeting.running(tmp_path / str(os.getpid()))
    meeting.leave()
    assert not Meeting.running(tmp_path / str(os.getpid()))
    assert [f.name for f in meeting.gathered(seconds=30)] == [str(gone.pid)]


def test_what_a_killed_run_left_is_no_rank_of_the_next(tmp_path: Path) -> None:
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    launch = launched(_environment(0))
    assert launch
    Meeting(launch.folder).announce(7)
    (launch.folder / str(gone.pid)).mkdir()
    with launch.reporting():
        assert Meeting(launch.folder).stop() is None
        assert Meeting(launch.folder).others() == []
    assert not launch.folder.exists()


def test_a_daemon_which_ends_with_the_script_is_not_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    running = tmp_path / str(os.getppid())
    running.mkdir()
    (running / "daemon").touch()
    monkeypatch.setattr("time.sleep", pytest.fail)
    assert Meeting(tmp_path).gathered() == [running]
