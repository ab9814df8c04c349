"""A contained script writes in every way, and nothing of the person's changes; once per means of containment."""

from __future__ import annotations

import hashlib
import os
import shutil
import socket
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import numpy as np
import pytest
import torch

from unstuck.containment import kernel
from unstuck.diagnosis.rerun import Child, NotContained, PatchedRun
from unstuck.tape.model import Command

pytestmark = pytest.mark.skipif(not kernel.available(), reason="containment needs Linux")
PROGRAM = Path(__file__).with_name("every_way.py")
MEANS = ("namespaces", "landlock")
SHARED = Path("/dev/shm/unstuck-test")
DENIED = {"shell", "interpreter", "loopback", "gloo"}
"""What Landlock denies because nobody can redirect it: other programs, and sockets of the network."""


def digest(folder: Path) -> dict[str, tuple[object, ...]]:
    """Contents, modes and times of everything below a folder."""
    found = {}
    for path in sorted(folder.rglob("*")):
        how = path.lstat()
        content = hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() and not path.is_symlink() else ""
        link = os.readlink(path) if path.is_symlink() else ""
        found[str(path)] = (how.st_mode, how.st_mtime_ns, how.st_ino, how.st_nlink, link, content)
    return found


def people_have(folder: Path) -> Path:
    """A folder with a bit of everything."""
    tree = folder / "tree"
    for name in ("project/deep", "folder", "empty", "full/inner", "data"):
        (tree / name).mkdir(parents=True)
    names = ("kept", "named", "replaced", "removed", "long", "mode", "linked", "hard", "by_shell", "full/inner/x")
    for name in names:
        (tree / f"{name}.txt").write_text(f"{name} text")
    (tree / "log.txt").write_text("first\n")
    (tree / "above.txt").write_text("above")
    (tree / "folder" / "inner.txt").write_text("inner")
    (tree / "mapped.bin").write_bytes(b"mapped")
    (tree / "link.txt").symlink_to("linked.txt")
    np.save(tree / "data" / "rows.npy", np.zeros(4))
    torch.save({"weight": torch.zeros(3)}, tree / "best.pt")
    torch.save({"step": 7}, tree / "resume.pt")
    with closing(sqlite3.connect(tree / "runs.db")) as database:
        database.executescript("create table runs (loss real); insert into runs values (1);")
    shutil.copy(PROGRAM, tree / "project" / "every_way.py")
    return tree


@contextmanager
def listening(tree: Path) -> Iterator[int]:
    """A port and a socket on which this machine listens."""
    with socket.create_server(("127.0.0.1", 0)) as server, socket.socket(socket.AF_UNIX) as local:
        local.bind(str(tree / "theirs"))
        local.listen()
        yield server.getsockname()[1]


@pytest.fixture
def tree(tmp_path: Path) -> Iterator[Path]:
    SHARED.write_text("kept")
    yield people_have(tmp_path)
    SHARED.unlink()


def ran(tree: Path, name: str, *args: str, limit: float = 120) -> tuple[PatchedRun, str, Path]:
    """A script of the project, patched by a comment and run contained; what it was and what it printed."""
    project = tree / "project"
    child = Child((str(project),))
    try:
        command = Command(str(project / name), None, args, str(project), 10, 30.0)
        child.order(command, project, {name: (project / name).read_text() + "\n# patched\n"})
        done = child.end(limit)
        out = (child.folder / "out").read_text() + (child.folder / "err").read_text()
    finally:
        child.close()
    return done, out, child.folder


@pytest.mark.parametrize("means", ["namespaces,unprivileged", *MEANS])
def test_nothing_of_the_persons_is_touched(means: str, tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UNSTUCK_CONTAINMENT", means)
    with listening(tree) as port:
        before = digest(tree)
        try:
            done, out, scratch = ran(tree, "every_way.py", str(tree), str(port))
        except NotContained as reason:
            pytest.skip(str(reason))
        time.sleep(3)  # the daemon would have written by now
        assert digest(tree) == before
    assert SHARED.read_text() == "kept"
    assert (done.code, done.means) == (0, means.partition(",")[0]), out
    assert not scratch.exists()
    went = {line.split()[0]: line for line in out.splitlines() if line}
    failed = {name: line for name, line in went.items() if " ok" not in line}
    assert set(failed) == (DENIED if means == "landlock" else set()), "\n".join(failed.values())
    assert not processes(str(scratch))


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:
        return b""


def patched(tree: Path, text: str, *args: str, limit: float = 120) -> tuple[PatchedRun, str, Path]:
    """A small script of the project, run contained."""
    (tree / "project" / "small.py").write_text(text)
    return ran(tree, "small.py", *args, limit=limit)


@pytest.mark.parametrize("means", MEANS)
def test_nothing_is_left_of_a_run_that_is_stopped(means: str, tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UNSTUCK_CONTAINMENT", means)
    text = "import os, time\nif os.fork() == 0: os.setsid()\nopen('../kept.txt', 'w').write('x')\ntime.sleep(600)"
    try:
        done, _, scratch = patched(tree, text, limit=20)
    except NotContained as reason:
        pytest.skip(str(reason))
    assert (done.code, done.tape, done.broken) == (None, None, "it took too long")
    assert not scratch.exists()
    assert (tree / "kept.txt").read_text() == "kept text"
    assert not processes(str(scratch))


@pytest.mark.net
@pytest.mark.parametrize("means", MEANS)
def test_everything_ends_with_the_process_that_asked(means: str, tree: Path) -> None:
    text = "import os, time\nos.fork()\nopen('../here.txt', 'w').close()\ntime.sleep(600)"
    (tree / "project" / "small.py").write_text(text)
    asker = (
        "import sys, time; from pathlib import Path; from unstuck.diagnosis.rerun import Child; "
        "from unstuck.tape.model import Command; child = Child(); folder = Path(sys.argv[1]); "
        "child.order(Command(str(folder / 'small.py'), None, (), str(folder), 10, 30.0), folder, {}); "
        "print(child.folder, flush=True); time.sleep(600)"
    )
    command = [sys.executable, "-c", asker, str(tree / "project")]
    environment = {**os.environ, "UNSTUCK_CONTAINMENT": means}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as process:
        assert process.stdout is not None
        scratch = Path(process.stdout.readline().strip())
        if not scratch.name:
            pytest.skip("not contained here")
        assert eventually(lambda: bool(list(scratch.rglob("here.txt"))), 60), "the script has begun"
        assert len(processes(str(scratch))) > 2
        process.kill()
    assert eventually(lambda: not processes(str(scratch)) and not scratch.exists(), 20)


@pytest.mark.net
@pytest.mark.parametrize("means", MEANS)
def test_memory_and_processes_are_bounded(means: str, tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UNSTUCK_CONTAINMENT", means)
    monkeypatch.setenv("UNSTUCK_CONTAINMENT_LIMITS", "memory=1e9,disk=1e8,processes=20")
    texts = {
        "memory": "import time\nx = bytearray(1_300_000_000)\ntime.sleep(60)",
        "processes": "import os, time\nfor _ in range(40):\n    if os.fork() == 0: time.sleep(60)\ntime.sleep(60)",
        "wrote": "import time\nopen('../kept.txt', 'wb').write(bytes(300_000_000))\ntime.sleep(60)",
    }
    for word, text in texts.items():
        try:
            done, out, _ = patched(tree, text, limit=100)
        except NotContained as reason:
            pytest.skip(str(reason))
        assert done.code is None and word in done.broken, (word, done, out)


@pytest.mark.net
def test_no_means_is_no_run_unless_it_is_allowed(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UNSTUCK_CONTAINMENT", "none")
    project, before = tree / "project", digest(tree)
    with pytest.raises(NotContained, match="--rerun-uncontained"):
        ran(tree, "every_way.py")
    assert digest(tree) == before
    (project / "small.py").write_text("open('mine.txt', 'w').close()")
    child = Child(uncontained=True)
    try:
        child.order(Command("small.py", None, (), str(project), 10, 30.0), project, {})
        done = child.end(100)
    finally:
        child.close()
    assert (done.code, done.means) == (0, "none")
    assert not (project / "mine.txt").exists(), "it runs in a copy of its folder"


@pytest.mark.net
@pytest.mark.parametrize("means", MEANS)
def test_a_script_finds_itself_where_it_was(means: str, tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UNSTUCK_CONTAINMENT", means)
    project, elsewhere = tree / "project", tree / "data"
    (project / "package").mkdir()
    (project / "package" / "__init__.py").write_text("")
    (project / "package" / "part.py").write_text("name = 'old'")
    (project / "package" / "run.py").write_text("from package.part import name\nimport sys, os\nprint(name, *sys.argv)")
    text = "import os, sys\nfrom package.part import name\nprint(name, os.getcwd(), sys.argv, __file__)"
    (project / "small.py").write_text(text)
    commands = {
        Command("../project/small.py", None, ("a",), str(elsewhere), 10, 30.0): (
            f"new {elsewhere} ['../project/small.py', 'a'] {elsewhere}/../project/small.py"
        ),
        Command(None, "package.run", ("b",), str(project), 10, 30.0): f"new {project}/package/run.py b",
    }
    before = digest(tree)
    for command, expected in commands.items():
        child = Child()
        try:
            child.order(command, project, {"package/part.py": "name = 'new'"})
            done = child.end(100)
        except NotContained as reason:
            pytest.skip(str(reason))
        finally:
            child.close()
        assert (done.code, done.last_line) == (0, expected)
    assert digest(tree) == before


def eventually(true: Callable[[], bool], seconds: float) -> bool:
    until = time.monotonic() + seconds
    while not true() and time.monotonic() < until:
        time.sleep(0.2)
    return true()


def processes(scratch: str) -> list[Path]:
    """Processes that were started with this scratch folder; a fork keeps the command of its parent."""
    return [p for p in Path("/proc").glob("[0-9]*/cmdline") if scratch.encode() in _read(p)]
