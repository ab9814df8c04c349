"""A script cannot tell whether Python or the launcher runs it: same output, same errors, same exit code."""

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from tests.whole import some
from unstuck.recording.launch import BudgetSpent, Target, execute
from unstuck.recording.script import check, syntax_error

DRIVER = str(Path(__file__).with_name("launch_driver.py"))

PROBES = {
    "argv": """
        import sys
        print(sys.argv, sys.orig_argv, sys.path[0])
    """,
    "main": """
        '''A docstring.'''
        import sys
        names = {k: v for k, v in globals().items() if k not in ("__loader__", "__spec__", "sys")}
        print(sorted((k, str(v)) for k, v in names.items()), list(names))
        print(type(__loader__).__name__, __loader__.get_filename(__spec__.name if __spec__ else "__main__"))
        print(__spec__ and (__spec__.name, __spec__.origin, __spec__.parent, __spec__.has_location))
        print(sys.modules["__main__"].__dict__ is globals(), __builtins__)
    """,
    "source": """
        import inspect, linecache, typing, dataclasses
        @dataclasses.dataclass
        class Point:
            x: "int"
            other: "Point | None" = None
        print(inspect.getsource(Point), linecache.getline(__file__, 2), typing.get_type_hints(Point), Point(1))
        print(inspect.getmodule(Point).__name__, inspect.getfile(Point))
    """,
    "pickled": """
        import pickle
        class Thing:
            def __eq__(self, other): return type(other) is Thing
        data = pickle.dumps(Thing())
        print(data, pickle.loads(data) == Thing())
    """,
    "chdir": """
        import os
        os.mkdir("below"); os.chdir("below")
        import inspect
        print(__file__, inspect.getsource(inspect.currentframe())[:20])
        raise OSError("after chdir")
    """,
    "exit_none": "import sys; print('out'); sys.exit()",
    "exit_number": "raise SystemExit(7)",
    "exit_large": "raise SystemExit(300)",
    "exit_negative": "raise SystemExit(-1)",
    "exit_true": "raise SystemExit(True)",
    "exit_text": "import sys; print('out'); sys.exit('it is over')",
    "exit_tuple": "raise SystemExit(1, 'two')",
    "exit_hard": "import os; print('gone', flush=True); os._exit(5)",
    "error": """
        def inner(n):
            return 1 / n
        print("before")
        inner(0)
    """,
    "error_text": "raise ValueError('two\\nlines')",
    "chained": """
        try:
            try:
                {}["key"]
            except KeyError as error:
                raise ValueError("because") from error
        except ValueError:
            raise RuntimeError("during")
    """,
    "suppressed": """
        try:
            int("x")
        except ValueError:
            raise RuntimeError("alone") from None
    """,
    "group": """
        def fail(kind):
            raise kind("inside")
        errors = []
        for kind in (ValueError, TypeError):
            try:
                fail(kind)
            except Exception as error:
                errors.append(error)
        raise ExceptionGroup("several", [errors[0], ExceptionGroup("nested", errors[1:])])
    """,
    "note": """
        error = ValueError("noted")
        error.add_note("a note")
        raise error
    """,
    "recursion": """
        def again(n): return again(n + 1) if n < 50 else 1 / 0
        again(0)
    """,
    "syntax": "x = 1\ny = = 2\n",
    "indentation": "if True:\nx = 1\n",
    "compiled_inside": "exec(compile('raise ValueError(3)', '<text>', 'exec'))",
    "interrupted": """
        import atexit
        atexit.register(print, "at exit")
        raise KeyboardInterrupt
    """,
    "killed": "import os, signal; os.kill(os.getpid(), signal.SIGTERM)",
    "atexit": """
        import atexit, sys, threading, time
        class Last:
            def __del__(self): print("deleted")
        last = Last()
        atexit.register(print, "first registered")
        atexit.register(lambda: print("second registered", "__main__" in sys.modules))
        threading.Thread(target=lambda: (time.sleep(0.2), print("thread done"))).start()
        print("end of main", file=sys.stderr)
        sys.exit(3)
    """,
    "atexit_error": """
        import atexit
        class Fail:
            def __repr__(self): return "fail"
            def __call__(self): raise ValueError("late")
        atexit.register(Fail())
    """,
    "thread_error": """
        import threading
        def fail(): raise ValueError("in a thread")
        t = threading.Thread(target=fail, name="worker"); t.start(); t.join()
        print("on")
    """,
    "guard": """
        if __name__ == "__main__":
            print("guarded")
    """,
    "hook": """
        import sys, traceback
        def hook(kind, error, tb):
            print("mine", kind.__name__, error, len(traceback.extract_tb(tb)), sys.exc_info())
        sys.excepthook = hook
        raise ValueError("hooked")
    """,
    "hook_fails": """
        import sys
        def hook(*_): raise TypeError("the hook itself")
        sys.excepthook = hook
        raise ValueError("hooked")
    """,
    "hook_exits": """
        import sys
        sys.excepthook = lambda *_: sys.exit(9)
        raise ValueError("hooked")
    """,
    "hook_gone": """
        import sys
        del sys.excepthook
        raise ValueError("unhooked")
    """,
    "stdin": """
        import sys
        print(input("name? "), sys.stdin.read().upper())
    """,
    "encoding": "# -*- coding: latin-1 -*-\nprint(ascii('caf\xe9'))\n",
    "future": """
        def f(x: undefined_name = 1) -> None: ...
    """,
    "fork": """
        import multiprocessing
        def work(n): return n * n
        if __name__ == "__main__":
            with multiprocessing.get_context("fork").Pool(2) as pool:
                print(pool.map(work, range(5)))
    """,
    "os_fork": """
        import os, sys
        pid = os.fork()
        if pid == 0:
            print("child", flush=True)
            sys.exit(4)
        print("parent", os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
    """,
    "spawn": """
        import multiprocessing, sys
        print("imported as", __name__, sys.argv, flush=True)
        class Job:
            def run(self): print("working in", __name__, "unstuck" in sys.modules, flush=True)
        if __name__ == "__main__":
            p = multiprocessing.get_context("spawn").Process(target=Job().run)
            p.start(); p.join()
            print(p.exitcode)
    """,
    "forkserver": """
        import multiprocessing
        print("imported as", __name__, flush=True)
        def work(q): q.put(__name__)
        if __name__ == "__main__":
            c = multiprocessing.get_context("forkserver")
            q = c.SimpleQueue(); p = c.Process(target=work, args=(q,))
            p.start(); print(q.get()); p.join()
    """,
    "spawn_error": """
        import multiprocessing
        def work(): raise ValueError("in the child")
        if __name__ == "__main__":
            p = multiprocessing.get_context("spawn").Process(target=work, name="one")
            p.start(); p.join()
            print(p.exitcode)
    """,
    "warning": """
        import warnings
        warnings.warn("mind this")
        print("a" is "a")
    """,
    "async": """
        import asyncio
        async def main():
            async with asyncio.TaskGroup() as group:
                group.create_task(fail())
        async def fail(): raise ValueError("in a task")
        asyncio.run(main())
    """,
    "neighbour": """
        import beside, sys
        print(beside.__file__, beside.VALUE)
    """,
}

LOADER = """
    import torch
    from torch.utils.data import DataLoader, Dataset
    class Rows(Dataset):
        def __len__(self): return 6
        def __getitem__(self, i): return torch.full((2,), float(i))
    if __name__ == "__main__":
        for batch in DataLoader(Rows(), batch_size=3, num_workers=1, multiprocessing_context="spawn"):
            print(batch.sum().item())
"""

TORCH_ERROR = """
    import torch, torch.nn as nn, torch.nn.functional as F
    net = nn.Sequential(nn.Linear(4, 3), nn.ReLU())
    opt = torch.optim.SGD(net.parameters(), lr=0.1)
    for step in range(4):
        loss = F.cross_entropy(net(torch.ones(2, 4)), torch.tensor([0, 3 if step == 3 else 1]))
        opt.zero_grad(); loss.backward(); opt.step()
"""


def written(folder: Path, name: str, text: str) -> Path:
    """The probe as a file; its first line stays the first where it is not indented."""
    lines = text.split("\n")
    if not lines[0] and len(lines) > 1:
        depth = len(lines[1]) - len(lines[1].lstrip())
        text = "\n".join(line[depth:] for line in lines[1:])
    path = folder / f"{name}.py"
    path.write_text(text, encoding="latin-1" if "latin-1" in text else "utf-8")
    return path


def ran(command: list[str], folder: Path) -> tuple[bytes, bytes, int]:
    done = subprocess.run(
        [sys.executable, *command], cwd=folder, input=b"ada\nrest\n", capture_output=True, timeout=100
    )
    return done.stdout, done.stderr, done.returncode


def same(words: list[str], folder: Path, by: list[str]) -> tuple[bytes, bytes, int]:
    """Run the words by Python and by the launcher in equal folders, and demand the same of both."""
    expected = ran(words, folder)
    (folder / "below").rmdir() if (folder / "below").exists() else None
    assert ran([*by, *words], folder) == expected
    return expected


@pytest.mark.parametrize("name", PROBES)
def test_like_python(name: str, tmp_path: Path) -> None:
    written(tmp_path, "beside", "VALUE = 5")
    written(tmp_path, name, PROBES[name])
    same([f"{name}.py", "one", "--two", "-m"], tmp_path, [DRIVER])


@pytest.mark.parametrize("name", ["argv", "main", "error", "chained", "spawn", "neighbour"])
def test_script_given_from_elsewhere(name: str, tmp_path: Path) -> None:
    folder = tmp_path / "a folder"
    folder.mkdir()
    written(folder, "beside", "VALUE = 5")
    written(folder, name, PROBES[name])
    same([f"./a folder/{name}.py", "x"], tmp_path, [DRIVER])
    (tmp_path / "link.py").symlink_to(folder / f"{name}.py")
    same(["link.py"], tmp_path, [DRIVER])


@pytest.mark.parametrize("name", ["argv", "main", "error", "interrupted", "syntax", "spawn", "pickled"])
@pytest.mark.parametrize("form", ["module", "package", "submodule", "folder", "zip"])
def test_other_forms(form: str, name: str, tmp_path: Path) -> None:
    if name == "spawn" and form == "zip":
        pytest.skip("children of a zip file cannot import its main module under Python either")
    words = {
        "module": ["-m", name],
        "package": ["-m", "pack"],
        "submodule": ["-m", f"pack.{name}"],
        "folder": ["pack/"],
        "zip": ["pack.zip"],
    }[form]
    pack = tmp_path / "pack"
    pack.mkdir()
    written(tmp_path, name, PROBES[name])
    written(pack, "__init__", "print('package imported')")
    written(pack, name, PROBES[name])
    source = written(pack, "__main__", PROBES[name])
    with zipfile.ZipFile(tmp_path / "pack.zip", "w") as archive:
        archive.write(source, "__main__.py")
    same([*words, "one"], tmp_path, [DRIVER])


def test_relative_import(tmp_path: Path) -> None:
    (tmp_path / "pack").mkdir()
    written(tmp_path / "pack", "__init__", "")
    written(tmp_path / "pack", "part", "VALUE = 3")
    written(tmp_path / "pack", "go", "from .part import VALUE\nfrom . import part\nprint(VALUE, part, __package__)")
    assert same(["-m", "pack.go"], tmp_path, [DRIVER])[2] == 0
    assert same(["pack/go.py"], tmp_path, [DRIVER])[2] == 1


def test_interpreter_options_are_kept(tmp_path: Path) -> None:
    written(tmp_path, "argv", PROBES["argv"])
    expected = ran(["-W", "ignore", "-X", "utf8", "argv.py"], tmp_path)
    assert ran(["-W", "ignore", "-X", "utf8", DRIVER, "argv.py"], tmp_path) == expected


@pytest.mark.net
@pytest.mark.parametrize("probe", [LOADER, TORCH_ERROR, PROBES["chained"], PROBES["interrupted"]])
def test_like_python_while_recorded(probe: str, tmp_path: Path) -> None:
    written(tmp_path, "probe", probe)
    same(["probe.py"], tmp_path, ["-m", "unstuck.recording", "--out", str(tmp_path / "tape"), "--"])
    assert (tmp_path / "tape" / "tape.json").exists()


SPENT = {
    "plain": "raise BudgetSpent",
    "caught": "try:\n    raise BudgetSpent\nexcept BaseException:\n    raise SystemExit(4)",
    "finally": "try:\n    raise BudgetSpent\nfinally:\n    1 / 0",
}


@pytest.mark.parametrize("way", SPENT)
def test_a_spent_budget_is_a_normal_end(way: str, tmp_path: Path) -> None:
    path = written(tmp_path, "spent", "from unstuck.recording.launch import BudgetSpent\n" + SPENT[way])
    assert ran([DRIVER, str(path)], tmp_path) == (b"", b"", 0)


def test_the_error_is_handed_over_without_our_frames(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = written(tmp_path, "fails", "import sys\nsys.excepthook = lambda *_: None\n1 / 0")
    for name in ("argv", "orig_argv", "path"):
        monkeypatch.setattr(sys, name, list(getattr(sys, name)))
    monkeypatch.setattr(sys, "excepthook", sys.excepthook)
    monkeypatch.setitem(sys.modules, "__main__", sys.modules["__main__"])
    seen: list[BaseException] = []
    assert execute(Target(str(path), None), on_error=seen.append) == 1
    assert isinstance(seen[0], ZeroDivisionError)
    assert seen[0].__traceback__ is not None
    assert seen[0].__traceback__.tb_frame.f_code.co_filename == str(path)
    assert issubclass(BudgetSpent, BaseException) and not issubclass(BudgetSpent, Exception)


def test_what_cannot_be_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty").mkdir()
    (tmp_path / "pack").mkdir()
    written(tmp_path / "pack", "__init__", "raise RuntimeError('must not run')")
    written(tmp_path, "bad", "x = 1\nx = = 2")
    written(tmp_path, "fine", "raise RuntimeError('must not run')")
    (tmp_path / "null.py").write_bytes(b"x = 1\0")
    assert check(Target("absent.py", None)) == "absent.py: no such file"
    assert check(Target("empty", None)) == "empty: the folder has no __main__.py"
    assert check(Target("bad.py", None)) == f"{tmp_path}/bad.py:2: invalid syntax"
    assert "null" in (check(Target("null.py", None)) or "")
    assert check(Target(None, "absent")) == "no module named absent"
    assert check(Target(None, "pack.absent")) == "no module named pack.absent"
    assert check(Target(None, "pack")) == "pack is a package without a __main__.py"
    assert check(Target(None, "bad")) == f"{tmp_path}/bad.py:2: invalid syntax"
    assert check(Target("fine.py", None)) is None
    assert check(Target(None, "fine")) is None
    assert check(Target(None, "json.tool")) is None
    assert check(Target(None, "torch.utils.collect_env")) is None


def test_a_syntax_error_is_shown_as_python_shows_it(tmp_path: Path) -> None:
    path = written(tmp_path, "bad", "x = 1\nx = = 2")
    assert syntax_error(Target(str(path), None)) == ran([str(path)], tmp_path)[1].decode()
    assert syntax_error(Target(str(written(tmp_path, "good", "x = 1")), None)) is None


TRAINS = """
    import os, signal, sys, threading, time, torch
    net = torch.nn.Linear(4, 1)
    opt = torch.optim.SGD(net.parameters(), lr=0.1)
    def train(steps, pause=0.0):
        for step in range(steps):
            loss = net(torch.ones(2, 4)).square().sum()
            opt.zero_grad(); loss.backward(); opt.step()
            time.sleep(pause)
"""
ENDS = {
    "exit_hard": "train(3); print('gone', flush=True); os._exit(5)",
    "exit_hard_in_fork": """
    train(3)
    if os.fork() == 0:
        print("child", flush=True)
        os._exit(4)
    print(os.waitstatus_to_exitcode(os.wait()[1]))
    """,
    "exit_before": "sys.exit(5)",
    "exit_after": "train(3); sys.exit('it is over')",
    "exit_at_exit": "import atexit; atexit.register(os._exit, 6); train(3)",
    "fails_at_exit": """
    import atexit
    class Fail:
        def __repr__(self): return "fail"
        def __call__(self): raise ValueError("late")
    atexit.register(Fail())
    train(3)
    """,
    "import_fails": "import no_such_module",
    "import_broken": "import broken",
    "thread_fails": "t = threading.Thread(target=lambda: 1 / 0, name='one'); t.start(); t.join(); train(3)",
    "stderr_closed": "train(3); sys.stderr.close(); raise SystemExit(3)",
    "stderr_gone": "train(3); os.close(2); raise ValueError('nobody sees it')",
    "stdout_closed": "train(3); sys.stdout.close()",
    "no_utf8": "train(3); sys.stdout.buffer.write(b'\\xff\\xfe\\n'); sys.stderr.buffer.write(b'\\xe9\\n')",
    "recursion": """
    def again(n): return again(n + 1)
    train(3)
    try:
        again(0)
    except RecursionError as error:
        raise SystemExit(str(error)) from None
    """,
    "memory": "train(3); raise MemoryError",
    "killed": "train(3); os.kill(os.getpid(), signal.SIGTERM)",
    "replaced": "train(3); sys.stdout.flush(); os.execv(sys.executable, [sys.executable, '-c', 'print(2)'])",
}
LEAVES_NONE = {"killed"}


@pytest.mark.parametrize("name", some(ENDS))
def test_ends_like_python_while_recorded(name: str, tmp_path: Path) -> None:
    written(tmp_path, "broken", "x = = 1")
    lines = ENDS[name].strip("\n").split("\n")
    written(tmp_path, "probe", TRAINS + "\n".join(lines if lines[0].startswith("    ") else ["    " + lines[0]]))
    same(["probe.py"], tmp_path, ["-m", "unstuck.recording", "--out", str(tmp_path / "tape"), "--"])
    assert (tmp_path / "tape" / "tape.json").exists() != (name in LEAVES_NONE)
