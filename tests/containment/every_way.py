"""Writes in every way that a training script may: `every_way.py TREE PORT`. Each way prints its name and how it went.

TREE holds what `tests/containment/test_containment.py` puts there; PORT is one on which the machine listens.
"""

import mmap
import multiprocessing
import os
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file, save_file

TREE, PORT = Path(sys.argv[1]), int(sys.argv[2])
WAYS = {}


def way(function):
    WAYS[function.__name__] = function
    return function


@way
def open_and_append():
    (TREE / "kept.txt").write_text("overwritten")
    with open(TREE / "log.txt", "a") as log:
        log.write("more\n")
    assert (TREE / "log.txt").read_text() == "first\nmore\n"


@way
def relative():
    with open("beside.txt", "w") as file:
        file.write("new")
    with open("../above.txt", "r+") as file:
        file.write("X")
    assert "beside.txt" in os.listdir() and Path("../above.txt").read_text() == "Xbove"


@way
def rename():
    os.rename(TREE / "named.txt", TREE / "renamed.txt")
    os.rename(TREE / "folder", TREE / "moved")
    assert (TREE / "moved" / "inner.txt").read_text() == "inner"
    assert not (TREE / "folder").exists() and not (TREE / "named.txt").exists()
    assert "named.txt" not in os.listdir(TREE)


@way
def replace():
    (TREE / "new.tmp").write_text("new")
    os.replace(TREE / "new.tmp", TREE / "replaced.txt")
    assert (TREE / "replaced.txt").read_text() == "new"


@way
def remove():
    os.unlink(TREE / "removed.txt")
    os.rmdir(TREE / "empty")
    shutil.rmtree(TREE / "full")
    assert not {"removed.txt", "empty", "full"} & {p.name for p in TREE.iterdir()}
    (TREE / "full").mkdir()
    assert list((TREE / "full").iterdir()) == []


@way
def truncate():
    os.truncate(TREE / "long.txt", 3)
    assert (TREE / "long.txt").read_text() == "lon"
    os.close(os.open(TREE / "long.txt", os.O_WRONLY | os.O_TRUNC))
    assert (TREE / "long.txt").stat().st_size == 0


@way
def modes_and_times():
    os.chmod(TREE / "mode.txt", 0o777)
    os.utime(TREE / "mode.txt", (0, 0))
    shutil.copystat(TREE / "long.txt", TREE / "mode.txt")


@way
def folders():
    (TREE / "runs" / "one").mkdir(parents=True)
    shutil.copytree(TREE / "data", TREE / "runs" / "data")
    assert [p.name for p in (TREE / "runs").rglob("*.npy")] == ["rows.npy"]
    with tempfile.TemporaryDirectory(dir=TREE) as scratch:
        Path(scratch, "x").write_text("x")
        shutil.move(Path(scratch, "x"), TREE / "runs" / "x")
    assert sorted(e.name for e in os.scandir(TREE / "runs")) == ["data", "one", "x"]


@way
def torch_save():
    weights = {"weight": torch.ones(3)}
    torch.save(weights, TREE / "best.pt")
    torch.save(weights, str(TREE / "new.pt"))
    assert torch.load(TREE / "best.pt", weights_only=True)["weight"].sum() == 3
    assert torch.load(TREE / "new.pt", weights_only=True, mmap=True)["weight"].sum() == 3


@way
def resume():
    assert torch.load(TREE / "resume.pt", weights_only=True)["step"] == 7


@way
def safetensors():
    save_file({"weight": torch.ones(3)}, str(TREE / "best.safetensors"))
    assert load_file(TREE / "best.safetensors")["weight"].sum() == 3


@way
def sqlite():
    with sqlite3.connect(TREE / "runs.db") as database:
        database.execute("insert into runs values (2)")
    database.close()
    with sqlite3.connect(TREE / "runs.db") as database:
        assert database.execute("select sum(loss) from runs").fetchone() == (3.0,)


@way
def numpy_memmap():
    rows = np.lib.format.open_memmap(TREE / "data" / "rows.npy", mode="r+")
    rows[:] = 5
    rows.flush()
    assert np.load(TREE / "data" / "rows.npy").sum() == 20


@way
def python_mmap():
    with open(TREE / "mapped.bin", "r+b") as file, mmap.mmap(file.fileno(), 0) as mapped:
        mapped[0:1] = b"X"
    assert (TREE / "mapped.bin").read_bytes() == b"Xapped"


@way
def symlinks():
    (TREE / "link.txt").write_text("through a link")
    assert (TREE / "linked.txt").read_text() == "through a link"
    os.symlink(TREE / "data", TREE / "latest")
    (TREE / "latest" / "new.txt").write_text("new")
    assert (TREE / "data" / "new.txt").exists()
    os.unlink(TREE / "link.txt")
    os.link(TREE / "hard.txt", TREE / "harder.txt")
    (TREE / "harder.txt").write_text("both")


def write(name):
    (TREE / name).write_text("by a child")


def _children(how):
    child = multiprocessing.get_context(how).Process(target=write, args=(f"{how}.txt",))
    child.start()
    child.join(60)
    assert child.exitcode == 0 and (TREE / f"{how}.txt").read_text() == "by a child"


@way
def fork():
    _children("fork")


@way
def spawn():
    _children("spawn")


class Rows(torch.utils.data.Dataset):
    def __len__(self):
        return 8

    def __getitem__(self, at):
        with open(TREE / "log.txt", "a") as log:
            log.write(f"{at}\n")
        return torch.full((1000,), float(at))


@way
def data_loader():
    for how in ("fork", "spawn"):
        loader = torch.utils.data.DataLoader(Rows(), 4, num_workers=2, multiprocessing_context=how)
        assert sum(rows.sum() for rows in loader) == 28000


@way
def local_socket():
    os.chdir(TREE)  # the path of a socket may have about a hundred characters
    place = "local"
    with socket.socket(socket.AF_UNIX) as server, socket.socket(socket.AF_UNIX) as client:
        server.bind(place)
        server.listen()
        client.connect(place)
        client.sendall(b"hello")
        assert server.accept()[0].recv(5) == b"hello"
    one, other = multiprocessing.Pipe()
    one.send(1)
    assert other.recv() == 1


@way
def shared_memory():
    Path("/dev/shm/unstuck-test").write_text("changed")
    block = torch.ones(10).share_memory_()
    assert block.is_shared()


@way
def shell():
    subprocess.run(["sh", "-c", f"echo more >> {TREE}/log.txt; rm {TREE}/by_shell.txt"], check=True, stderr=-3)
    assert not (TREE / "by_shell.txt").exists()


@way
def interpreter():
    text = f"open({str(TREE / 'kept.txt')!r}, 'w').write('by another interpreter')"
    subprocess.run([sys.executable, "-c", text], check=True, stderr=-3)


@way
def loopback():
    with socket.create_server(("127.0.0.1", 0)) as server:
        socket.create_connection(server.getsockname(), 5).close()


@way
def gloo():
    import torch.distributed as ranks

    ranks.init_process_group("gloo", init_method=f"file://{TREE}/meeting", rank=0, world_size=1)
    total = torch.ones(2)
    ranks.all_reduce(total)
    ranks.destroy_process_group()
    assert total.sum() == 2


def _reached(address):
    try:
        socket.create_connection(address, 3).close()
    except OSError as error:
        return type(error).__name__
    return "REACHED"


@way
def network():
    assert _reached(("127.0.0.1", PORT)) != "REACHED"
    assert _reached(("1.1.1.1", 53)) != "REACHED"
    with socket.socket(socket.AF_UNIX) as client:
        try:
            client.connect(str(TREE / "theirs"))
            raise AssertionError("REACHED")
        except OSError:
            pass


@way
def daemon():
    if os.fork() == 0:
        os.setsid()
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        if os.fork() == 0:
            time.sleep(3)
            (TREE / "kept.txt").write_text("by a daemon")
            time.sleep(600)
        os._exit(0)
    os.wait()


if __name__ == "__main__":
    assert "# patched" in Path(__file__).read_text()
    for name, function in WAYS.items():
        try:
            function()
            print(name, "ok", flush=True)
        except BaseException as error:
            print(name, type(error).__name__, str(error).replace("\n", " ")[:200], flush=True)
