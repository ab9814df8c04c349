"""Processes that a server starts by fork: each is a run of its own."""

from __future__ import annotations

import os
from contextlib import closing
from pathlib import Path

import pytest

from unstuck.containment import watched
from unstuck.diagnosis.forked import Forked, Server
from unstuck.diagnosis.rerun import Child
from unstuck.recording.budget import UNBOUNDED
from unstuck.tape.model import Command

SCRIPT = """import os, random, sys
import numpy
open("written.txt", "a").write("run")
print(random.random(), numpy.random.rand(), open("written.txt").read(), __name__, len(sys.argv))
sys.exit(3)
"""
LONG = 1e9


@pytest.mark.net
@pytest.mark.skipif(not watched(), reason="processes are watched over on Linux only")
def test_each_process_has_its_own_files_random_numbers_and_end(tmp_path: Path) -> None:
    (tmp_path / "train.py").write_text(SCRIPT, encoding="utf-8")
    command = Command("train.py", None, ("one",), str(tmp_path), UNBOUNDED, LONG, (), longest=LONG)
    lines: list[list[str]] = []
    with closing(Server(os.environ)) as server:
        for _ in range(2):
            with closing(Child((str(tmp_path),), uncontained=True, server=server)) as child:
                assert isinstance(child.process, Forked)
                child.order(command, tmp_path, {}, ["--plain"])
                done = child.end(LONG)
            assert done.code == 3
            lines.append(done.last_line.split())
    assert not (tmp_path / "written.txt").exists()
    (one, other) = lines
    assert one[0] != other[0] and one[1] != other[1]
    assert one[2:] == other[2:] == ["run", "__main__", "2"]


@pytest.mark.net
@pytest.mark.skipif(not watched(), reason="processes are watched over on Linux only")
def test_without_a_server_a_process_starts_all_the_same(tmp_path: Path) -> None:
    server = Server(os.environ)
    server.close()
    with closing(Child((str(tmp_path),), server=server)) as child:
        assert not isinstance(child.process, Forked)
