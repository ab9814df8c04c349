"""The frameworks' callbacks, in an environment that has the frameworks (`make test-integrations`).

Each trains the same small network at a rate that is far too low: the weights must be those of a run without us, and
the report must name the rate.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.frameworks

DATA = """
import sys, json, torch
from torch import nn
torch.manual_seed(0)
rows, direction = torch.randn(600, 20), torch.randn(20)
labels = (rows @ direction > 0).long()
torch.manual_seed(1)
model = nn.Sequential(nn.Linear(20, 32), nn.ReLU(), nn.Linear(32, 2))
watched = sys.argv[1] == "watched"
reports = []
told = lambda report: reports.append(report.diagnosis)
"""
END = """
total = sum(float(p.detach().double().sum()) for p in model.parameters())
faults = sorted({c["fault"] for r in reports for c in r["findings"] if c["role"] in ("cause", "suspect")})
files = sorted({f["site"]["file"] for r in reports for f in r["findings"] if f["site"] and f["fault"] == "lr-too-low"})
print(json.dumps({"total": total, "faults": faults, "files": files, "reports": len(reports),
                  "state": reports[0]["state"] if reports else ""}))
"""
LIGHTNING = """
import lightning as L
class Net(L.LightningModule):
    def __init__(self):
        super().__init__()
        self.net = model
    def training_step(self, batch, _):
        return nn.functional.cross_entropy(self.net(batch[0]), batch[1])
    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=1e-5)
calls = []
if watched:
    from unstuck.integrations.lightning import UnstuckCallback
    calls = [UnstuckCallback(report=told)]
loader = torch.utils.data.DataLoader(torch.utils.data.TensorDataset(rows, labels), 50)
trainer = L.Trainer(max_epochs=20, accelerator="cpu", callbacks=calls, logger=False, enable_checkpointing=False,
                    enable_progress_bar=False, enable_model_summary=False)
trainer.fit(Net(), loader)
"""
TRANSFORMERS = """
from transformers import Trainer, TrainingArguments
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.net = model
    def forward(self, x=None, labels=None):
        out = self.net(x)
        return {"loss": nn.functional.cross_entropy(out, labels), "logits": out}
calls = []
if watched:
    from unstuck.integrations.transformers import UnstuckCallback
    calls = [UnstuckCallback(report=told)]
data = [{"x": r, "labels": l} for r, l in zip(rows, labels)]
args = TrainingArguments("out", num_train_epochs=15, per_device_train_batch_size=50, learning_rate=1e-6, use_cpu=True,
                         report_to=[], save_strategy="no", disable_tqdm=True, seed=3, logging_strategy="no")
Trainer(Net(), args, train_dataset=data, callbacks=calls).train()
"""
IGNITE = """
from ignite.engine import Engine
optimizer = torch.optim.SGD(model.parameters(), lr=1e-5)
def step(engine, batch):
    optimizer.zero_grad()
    loss = nn.functional.cross_entropy(model(batch[0]), batch[1])
    loss.backward()
    optimizer.step()
    return loss.item()
trainer = Engine(step)
if watched:
    from unstuck.integrations.ignite import UnstuckHandler
    UnstuckHandler(report=told).attach(trainer)
loader = torch.utils.data.DataLoader(torch.utils.data.TensorDataset(rows, labels), 50)
trainer.run(loader, max_epochs=20)
"""
SKORCH = """
from skorch import NeuralNetClassifier
calls = []
if watched:
    from unstuck.integrations.skorch import UnstuckCallback
    calls = [UnstuckCallback(report=told)]
net = NeuralNetClassifier(model, criterion=nn.CrossEntropyLoss, lr=1e-5, max_epochs=20, batch_size=50, verbose=0,
                          train_split=None, callbacks=calls)
net.fit(rows.numpy(), labels.numpy())
model = net.module_
"""
FASTAI = """
from fastai.learner import Learner
from fastai.data.core import DataLoaders
from fastai.optimizer import SGD
from fastai.callback.progress import *
calls = []
if watched:
    from unstuck.integrations.fastai import UnstuckCallback
    calls = [UnstuckCallback(report=told)]
loader = torch.utils.data.DataLoader(torch.utils.data.TensorDataset(rows, labels), 50)
learn = Learner(DataLoaders(loader, loader), model, loss_func=nn.CrossEntropyLoss(), opt_func=SGD, cbs=calls)
with learn.no_bar(), learn.no_logging():
    learn.fit(20, lr=1e-5)
"""
ACCELERATE = """
from accelerate import Accelerator
from contextlib import nullcontext
accelerator = Accelerator(cpu=True)
loader = torch.utils.data.DataLoader(torch.utils.data.TensorDataset(rows, labels), 50)
optimizer = torch.optim.SGD(model.parameters(), lr=1e-5)
model, optimizer, loader = accelerator.prepare(model, optimizer, loader)
around = nullcontext()
if watched:
    from unstuck.integrations.accelerate import watching
    around = watching(accelerator, report=told)
with around:
    for epoch in range(20):
        for x, y in loader:
            loss = nn.functional.cross_entropy(model(x), y)
            optimizer.zero_grad()
            accelerator.backward(loss)
            optimizer.step()
"""
PROGRAMS = {
    "lightning": LIGHTNING, "transformers": TRANSFORMERS, "ignite": IGNITE, "skorch": SKORCH, "fastai": FASTAI,
    "accelerate": ACCELERATE,
}  # fmt: skip


def ran(folder: Path, how: str) -> dict:
    import json

    done = subprocess.run([sys.executable, "train.py", how], cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
    return json.loads(done.stdout.strip().splitlines()[-1])


@pytest.mark.parametrize("framework", PROGRAMS)
def test_the_training_is_the_same_and_the_rate_is_named(framework: str, tmp_path: Path) -> None:
    pytest.importorskip(framework)
    (tmp_path / "train.py").write_text(DATA + PROGRAMS[framework] + END)
    plain, watched = ran(tmp_path, "plain"), ran(tmp_path, "watched")
    assert plain["total"] == watched["total"]
    assert watched["reports"] == 1
    if framework == "fastai":  # its optimizer is none of torch's, and a step this small does not show which it is like
        assert watched["state"] == "does-not-learn"
    else:
        assert "lr-too-low" in watched["faults"], watched
        assert watched["files"] == ["train.py"]
