"""`torchrun -m unstuck run`: one report for all ranks, and an end that torchrun understands."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.whole import SURROUNDINGS

RAW = """
import os, sys
import torch
import torch.distributed as dist
import torch.nn.functional as F
from torch import nn
from torch.nn.parallel import DistributedDataParallel

dist.init_process_group("gloo")
rank = dist.get_rank()
torch.manual_seed(0)
rates = 92 + 5 * torch.randn(800, 1)
labels = (rates > 91).float()
model = DistributedDataParallel(nn.Sequential(nn.Linear(1, 8), nn.Sigmoid(), nn.Linear(8, 1)))
optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
mine = torch.arange(rank, 800, 2)
for epoch in range(6):
    for take in mine[torch.randperm(len(mine), generator=torch.Generator().manual_seed(epoch))].split(40):
        loss = F.binary_cross_entropy_with_logits(model(rates[take]), labels[take])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        if rank == 1 and epoch == 4 and "fail" in sys.argv:
            raise ValueError("bad row 17")
    if rank == 0:
        print(f"epoch {epoch}: {loss.item():.4f}", flush=True)
dist.destroy_process_group()
"""


def _launched(folder: Path, *args: str) -> subprocess.CompletedProcess[str]:
    (folder / "train.py").write_text(RAW)
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    ours = ["-m", "unstuck", "run", "--no-prove", "--json", "d.json", "train.py"]
    environment = {**os.environ, **SURROUNDINGS}
    return subprocess.run(
        [*launcher, *ours, *args], cwd=folder, env=environment, capture_output=True, text=True, timeout=300
    )


@pytest.mark.skipif(sys.platform != "linux", reason="gloo between processes is tested on Linux")
def test_two_ranks_make_one_report_of_the_rows_of_both(tmp_path: Path) -> None:
    done = _launched(tmp_path)
    diagnosis = json.loads((tmp_path / "d.json").read_text())
    assert done.stdout.count("epoch ") == 6
    assert done.stderr.count("2 of 2 ranks were recorded") == 1
    assert diagnosis["steps"] == 60
    assert done.returncode == (1 if any(f["severity"] != "hint" for f in diagnosis["findings"]) else 0)
    assert {"input-offset", "input-scale"} & {f["fault"] for f in diagnosis["findings"]}


@pytest.mark.net
@pytest.mark.skipif(sys.platform != "linux", reason="gloo between processes is tested on Linux")
def test_the_rank_that_failed_is_reported_before_torchrun_ends_all(tmp_path: Path) -> None:
    done = _launched(tmp_path, "fail")
    diagnosis = json.loads((tmp_path / "d.json").read_text())
    assert done.returncode == 1
    assert diagnosis["stopped"] == "script failed: ValueError: bad row 17 (rank 1)"
    assert "ChildFailedError" in done.stderr
