"""Where a diagnosis is written beside a run: TensorBoard, MLflow and W&B, all of them offline; and Keras on torch.

Run by `make test-integrations`, in an environment that has them.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from torch import nn

from unstuck.integrations.watching import Report, watch

pytestmark = pytest.mark.frameworks


@pytest.fixture(scope="module")
def report() -> Report:
    """Of a training without a step."""
    torch.manual_seed(0)
    rows = torch.randn(200, 8)
    labels, model = (rows.sum(1) > 0).long(), nn.Linear(8, 2)
    torch.optim.SGD(model.parameters(), lr=0.5)
    with watch(Path(__file__).parent, name="train") as run:
        for _ in range(30):
            model.zero_grad()
            nn.functional.cross_entropy(model(rows), labels).backward()
    return run.report("quick")


@pytest.fixture
def offline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder to be in, and no way out of the machine for what asks the environment."""
    monkeypatch.chdir(tmp_path)
    for name, value in {
        "WANDB_MODE": "offline",
        "WANDB_SILENT": "true",
        "MLFLOW_TRACKING_URI": f"file:{tmp_path}/ml",
    }.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    yield tmp_path


def test_tensorboard_shows_the_report_as_text(report: Report, offline: Path) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
    from torch.utils.tensorboard import SummaryWriter

    from unstuck.integrations.tensorboard import to_tensorboard

    with SummaryWriter(str(offline / "runs")) as writer:
        to_tensorboard(writer, step=30)(report)
    events = EventAccumulator(str(offline / "runs"))
    events.Reload()
    shown = {tag: events.Tensors(tag)[0] for tag in events.Tags()["tensors"]}
    assert {"unstuck/report/text_summary", "unstuck/causes/text_summary"} <= set(shown)
    assert shown["unstuck/causes/text_summary"].tensor_proto.string_val == [b"no-step"]
    text = shown["unstuck/report/text_summary"].tensor_proto.string_val[0].decode()
    assert "no-step" in text and all(line.startswith("    ") for line in text.splitlines())


def test_mlflow_holds_page_data_and_tags(report: Report, offline: Path) -> None:
    import mlflow

    from unstuck.integrations.mlflow import to_mlflow

    with mlflow.start_run() as run:
        to_mlflow()(report)
    kept = mlflow.MlflowClient().get_run(run.info.run_id)
    assert kept.data.tags["unstuck.causes"] == "no-step"
    folder = Path(mlflow.artifacts.download_artifacts(run_id=run.info.run_id, artifact_path="unstuck"))
    assert (folder / "diagnosis.html").read_text(encoding="utf-8") == report.page
    assert json.loads((folder / "diagnosis.json").read_text())["causes"][0]["fault"] == "no-step"


def test_wandb_logs_the_page_to_an_offline_run(report: Report, offline: Path) -> None:
    import wandb

    from unstuck.integrations.wandb import to_wandb

    with pytest.raises(RuntimeError, match=r"wandb\.init"):
        to_wandb()(report)
    run = wandb.init(project="test", dir=str(offline), mode="offline")
    to_wandb()(report)
    assert run.summary["unstuck/causes"] == "no-step"
    pages = [p.read_text(encoding="utf-8") for p in Path(run.dir).rglob("*.html")]
    run.finish()
    assert any("no-step" in page for page in pages)


KERAS = """
import sys, json, numpy, keras, torch
keras.utils.set_random_seed(0)
rows = numpy.random.default_rng(0).normal(size=(600, 20)).astype("float32")
labels = (rows.sum(1) > 0).astype("int64")
rows = rows + 500
model = keras.Sequential([keras.layers.Dense(32, activation="relu"), keras.layers.Dense(2)])
loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
model.compile(optimizer=keras.optimizers.SGD(0.01), loss=loss)
reports, calls = [], []
if sys.argv[1] == "watched":
    from unstuck.integrations.keras import UnstuckCallback
    calls = [UnstuckCallback(report=lambda report: reports.append(report.diagnosis))]
model.fit(rows, labels, batch_size=50, epochs=20, verbose=0, callbacks=calls)
total = sum(float(numpy.abs(w).astype("float64").sum()) for w in model.get_weights())
named = sorted({f["fault"] for r in reports for f in r["findings"] if f["role"] in ("cause", "suspect")})
print(json.dumps({"total": total, "faults": named, "state": reports[0]["state"] if reports else ""}))
"""


def test_keras_on_torch_trains_as_without_us_and_the_offset_is_named(tmp_path: Path) -> None:
    (tmp_path / "train.py").write_text(KERAS)
    made = {word: _run(tmp_path, word) for word in ("plain", "watched")}
    assert made["watched"]["total"] == made["plain"]["total"]
    assert made["watched"]["state"] == "does-not-learn" and "input-offset" in made["watched"]["faults"], made


def _run(folder: Path, word: str) -> dict[str, object]:
    environment = {**os.environ, "KERAS_BACKEND": "torch"}
    done = subprocess.run(
        [sys.executable, "train.py", word], cwd=folder, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return json.loads(done.stdout.splitlines()[-1])
