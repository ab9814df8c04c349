"""Scaling layers leave the process: safetensors files, torch.export, ONNX, TorchScript."""

from __future__ import annotations

import json
import struct
from pathlib import Path

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.torch import save as as_bytes
from torch import nn

from unstuck.nn import LoadError, MaxAbs, RobustScale, RunningStandardize, Scaling, Standardize, fold, load, save

ROWS = torch.randn(40, 3, generator=torch.Generator().manual_seed(0)) * torch.tensor([1.0, 9.0, 0.0]) + 92


def layers() -> dict[str, Scaling]:
    running = RunningStandardize(3, batches=4, tolerance=0.1)
    running(ROWS)
    return {
        "standard": Standardize(3, fill=0.5).fit(ROWS),
        "precise": Standardize(3, dtype=torch.float64).fit(ROWS),
        "max.abs": MaxAbs(3, -1).fit(ROWS),
        "robust": RobustScale(3, size=99).fit(ROWS),
        "pixels": Standardize((2, 4), (-2, -1)).fit(ROWS.view(-1, 2, 4)),
        "one": Standardize((), ()).fit(ROWS),
        "running": running,
    }


def test_save_and_load_round_trip(tmp_path: Path) -> None:
    path = tmp_path / "scales.safetensors"
    before = layers()
    save(path, before)
    after = load(path)
    assert list(tmp_path.iterdir()) == [path]
    for name, layer in before.items():
        got = after[name]
        assert (type(got), got.settings(), got.training) == (type(layer), layer.settings(), False)
        assert all(torch.equal(v, got.state_dict()[k]) for k, v in layer.state_dict().items())
    holes = ROWS.clone()
    holes[0, 0] = float("nan")
    assert torch.equal(after["standard"](holes), before["standard"](holes))


def test_unfitted_layer_is_not_saved(tmp_path: Path) -> None:
    for bad in (Standardize(3), nn.Linear(3, 3)):
        with pytest.raises(ValueError, match="not a fitted layer"):
            save(tmp_path / "x", {"bad": bad})
    assert not any(tmp_path.iterdir())


@pytest.fixture(scope="module")
def valid(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    path = tmp_path_factory.mktemp("nn") / "valid.safetensors"
    save(path, layers())
    return path.read_bytes()


def attempt(path: Path, content: bytes) -> None:
    """Either whole layers, or one line."""
    path.write_bytes(content)
    try:
        for layer in load(path).values():
            assert layer.fitted and layer.center.isfinite().all()
    except LoadError as e:
        assert "\n" not in str(e) and str(path) in str(e)


@given(st.data())
@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_corrupt_files_raise_one_line(valid: bytes, tmp_path: Path, data: st.DataObject) -> None:
    content = bytearray(valid)
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    attempt(tmp_path / "x", bytes(content[: data.draw(st.integers(0, len(content)))]))
    attempt(tmp_path / "x", bytes(content))
    attempt(tmp_path / "x", data.draw(st.binary(max_size=200)))


GOOD = {"kind": "Standardize", "shape": [3], "dims": [1], "fill": None, "dtype": "float32"}
HOSTILE = [
    GOOD | {"kind": "system"}, GOOD | {"kind": "RunningStandardize"}, GOOD | {"shape": [10**15]},
    GOOD | {"shape": [2**40, 2**40]}, GOOD | {"shape": []}, GOOD | {"dims": [1, 2]}, GOOD | {"dims": [10**30]},
    GOOD | {"dtype": "float16"}, GOOD | {"dtype": "load"}, GOOD | {"fill": "x"}, GOOD | {"size": 5},
    GOOD | {"fill": 1e999}, GOOD | {"more": 1}, {}, 5, None, [],
]  # fmt: skip


@pytest.mark.parametrize("settings", HOSTILE)
def test_hostile_headers_raise_one_line(tmp_path: Path, settings) -> None:
    header = json.dumps({"format": 1, "layers": {"a": settings}})
    state = {"a.center": torch.zeros(3), "a.scale": torch.ones(3)}
    (tmp_path / "x").write_bytes(as_bytes(state, {"unstuck.nn": header}))
    with pytest.raises(LoadError, match="not a file of scaling layers"):
        load(tmp_path / "x")


@pytest.mark.parametrize("state", [
    {}, {"a.center": torch.zeros(3)}, {"a.center": torch.zeros(3), "a.scale": torch.full((3,), float("nan"))},
    {"a.center": torch.zeros(3), "a.scale": torch.ones(4)},
    {"a.center": torch.zeros(3), "a.scale": torch.ones(3).half()},
    {"a.center": torch.zeros(3), "a.scale": torch.ones(3), "b.center": torch.zeros(3)},
])  # fmt: skip
def test_mismatched_tensors_raise_one_line(tmp_path: Path, state: dict[str, torch.Tensor]) -> None:
    header = json.dumps({"format": 1, "layers": {"a": GOOD}})
    (tmp_path / "x").write_bytes(as_bytes(state, {"unstuck.nn": header}))
    with pytest.raises(LoadError, match="not a file of scaling layers"):
        load(tmp_path / "x")


def test_foreign_files_raise_one_line(tmp_path: Path) -> None:
    (tmp_path / "other").write_bytes(as_bytes({"w": torch.zeros(2)}))
    (tmp_path / "long").write_bytes(struct.pack("<Q", 2**60) + b"{}")
    for path in (tmp_path / "other", tmp_path / "long", tmp_path, tmp_path / "missing"):
        with pytest.raises(LoadError):
            load(path)


def frozen(kind: type) -> Scaling:
    if kind is not RunningStandardize:
        return kind(3).fit(ROWS)
    layer = kind(3, batches=1)
    layer(ROWS)
    return layer.eval()


KINDS = [Standardize, MaxAbs, RobustScale, RunningStandardize]


@pytest.mark.parametrize("kind", KINDS)
def test_torch_export(kind: type) -> None:
    model = nn.Sequential(frozen(kind), nn.Linear(3, 2)).eval()
    rows = torch.export.Dim("rows")
    exported = torch.export.export(model, (ROWS,), dynamic_shapes=({0: rows},)).module()
    for x in (ROWS, ROWS[:7]):
        torch.testing.assert_close(exported(x), model(x))


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("kind", KINDS)
def test_torchscript(kind: type, tmp_path: Path) -> None:
    model = nn.Sequential(frozen(kind), nn.Linear(3, 2)).eval()
    torch.jit.save(torch.jit.script(model), tmp_path / "x.pt")
    torch.testing.assert_close(torch.jit.load(tmp_path / "x.pt")(ROWS), model(ROWS))


PICTURES = torch.randint(0, 256, (4, 3, 6, 6), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))


def models() -> list[tuple[nn.Module, torch.Tensor]]:
    """All kinds in a row; pictures as bytes, filled rows, and a folded convolution with its padding."""
    conv = nn.Sequential(Standardize(3).fit(PICTURES), nn.Conv2d(3, 2, 3, padding=1))
    rows = nn.Sequential(*map(frozen, KINDS), nn.Linear(3, 2))
    filled = nn.Sequential(Standardize(3, fill=0.0).fit(ROWS), nn.Linear(3, 2))
    holes = ROWS.clone()
    holes[0, 0] = float("nan")
    return [(rows, ROWS), (filled, holes), (conv, PICTURES), (fold(conv), PICTURES.float())]


@pytest.mark.net
@pytest.mark.filterwarnings("ignore")
def test_onnx(tmp_path: Path) -> None:
    pytest.importorskip("onnxscript")
    runtime = pytest.importorskip("onnxruntime")
    for at, (model, x) in enumerate(models()):
        path = str(tmp_path / f"{at}.onnx")
        torch.onnx.export(model.eval(), (x,), path, dynamo=True, verbose=False)
        session = runtime.InferenceSession(path, providers=["CPUExecutionProvider"])
        (got,) = session.run(None, {session.get_inputs()[0].name: x.numpy()})
        torch.testing.assert_close(torch.from_numpy(got), model(x), rtol=1e-4, atol=1e-4)
