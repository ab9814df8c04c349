"""The cifar study: its networks are plain PyTorch's, its identities hold, its data is read, its text reads the run."""

from __future__ import annotations

import io
import math
import os
import pickle
import subprocess
import sys
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from PIL import Image

from unstuck.tabular.scaling import realise
from unstuck.tabular.studies import cifar, command, terminal
from unstuck.tabular.studies.cifar import identities, machine, microscope, source, training
from unstuck.tabular.studies.cifar import variants as v
from unstuck.tabular.studies.cifar.evidence import Evidence, Plan, gather
from unstuck.tabular.studies.cifar.inputs import Pictures, fed, order
from unstuck.tabular.studies.cifar.network import Lane, start
from unstuck.tabular.studies.cifar.workers import alone, workers
from unstuck.tabular.studies.story import Request, Unavailable

PROTOCOL = v.Protocol(patience=6)
SIDE = 6


@cache
def drawn(count: int = 1200) -> Pictures:
    """Ten blurred patterns, one per class: bytes like those of pictures, all at least 0."""
    numbers = torch.Generator().manual_seed(3)
    labels = torch.randint(0, 10, (count,), generator=numbers)
    patterns = torch.randint(0, 180, (10, 3, SIDE * SIDE), generator=numbers)
    noise = torch.randint(0, 76, (count, 3, SIDE * SIDE), generator=numbers)
    pixels = (patterns[labels] + noise).to(torch.uint8)
    cut = count - count // 6
    return Pictures(pixels[:cut], labels[:cut], pixels[cut:], labels[cut:])


def untold(*_: object) -> None:
    """No progress display."""


def plain(variant: v.Variant, pictures: Pictures, steps: int) -> list[float]:
    """The losses of the same run written as anybody would, in float64."""
    model, _ = machine.plain_program(pictures.inputs, PROTOCOL)
    for weight, begin in zip(model.parameters(), start(0, pictures.inputs, PROTOCOL, variant.he), strict=True):
        weight.data.copy_(begin)
    optimizer = realise(variant.recipe, model.double())
    losses = []
    for _, rows in zip(range(steps), order(pictures, 0, PROTOCOL.batch), strict=False):
        x = pictures.prepared(pictures.train[rows], variant.preparation, variant.scale, torch.float64)
        loss = torch.nn.functional.cross_entropy(model(x), pictures.train_labels[rows])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return losses


@pytest.mark.parametrize("variant", [*v.ASKED, *v.PREDICTED, *v.CONTROLS[:2]], ids=lambda variant: variant.name)
def test_a_lane_is_the_plain_loop(variant: v.Variant) -> None:
    pictures = drawn()
    lane = Lane(variant, start(0, pictures.inputs, PROTOCOL, variant.he), torch.float64)
    batches = order(pictures, 0, PROTOCOL.batch)
    losses = []
    for _, rows in zip(range(12), batches, strict=False):
        x = fed(pictures, pictures.train[rows], [variant], torch.float64)[variant.inputs]
        losses.append(lane.step(x, pictures.train_labels[rows]))
    assert losses == pytest.approx(plain(variant, pictures, 12), rel=1e-9)


def test_a_lane_starts_as_torch_does_and_leaves_its_generator_alone() -> None:
    torch.manual_seed(5)
    wanted = torch.nn.Linear(12, 300, bias=False).weight, torch.nn.Linear(300, 10, bias=False).weight
    torch.manual_seed(8)
    before = torch.random.get_rng_state()
    drawn_ = start(5, 12, PROTOCOL)
    assert torch.equal(before, torch.random.get_rng_state())
    assert all(torch.equal(a, b) for a, b in zip(drawn_, wanted, strict=True))


def test_inputs_are_what_their_names_say() -> None:
    pictures = drawn()
    unit = pictures.train.double() / 255
    mean, spread = pictures.channels
    assert torch.allclose(mean.flatten(), unit.mean((0, 2)))
    assert torch.allclose(spread.flatten(), unit.std((0, 2), correction=0))
    standard = pictures.prepared(pictures.train, "standardised", 1.0, torch.float64).view(unit.shape)
    assert standard.mean((0, 2)).abs().max() < 1e-9 and (standard.std((0, 2), correction=0) - 1).abs().max() < 1e-9
    centred = pictures.prepared(pictures.train, "centred", 1.0, torch.float64).view(unit.shape)
    assert torch.allclose(centred, unit - mean)
    large = pictures.prepared(pictures.train, "unit", 255.0, torch.float32)
    assert torch.equal(large, pictures.prepared(pictures.train, "unit", 1.0, torch.float32) * 255)


def test_every_epoch_shows_every_picture_once() -> None:
    pictures, batch = drawn(), 70
    batches = order(pictures, 1, batch)
    one, two = ([next(batches) for _ in range(15)] for _ in range(2))
    assert {len(rows) for rows in one} == {70, 1000 % 70}
    assert sorted(torch.cat(one).tolist()) == sorted(torch.cat(two).tolist()) == list(range(1000))
    assert torch.cat(one).tolist() != torch.cat(two).tolist()


def test_equivalent_runs_are_bit_identical() -> None:
    found = identities.compared(drawn(), PROTOCOL, seed=0, steps=40, tick=untold)
    exact = [i for i in found if i.other.scale == v.POWER]
    assert len(exact) == 4 and all(i.same and i.apart == 0 for i in exact)
    single, double = (i for i in found if i.other.scale == v.C)
    assert single.apart < 1e-5 and double.apart < 1e-12 and (single.steps, double.steps) == (40, 20)


def test_askers_changes_on_unit_inputs() -> None:
    told = [identities.amounts_to(variant).recipe.layers for variant in (v.RATE, v.BOTH, v.FIRST)]
    roots = [[layer.weight.init / 255**0.5 for layer in layers] for layers in told]
    assert roots == [pytest.approx(r) for r in ([1, 1], [1 / 255, 1 / 255], [1 / 255, 1])]
    assert all(layer.weight.lr == pytest.approx(0.02) for layers in told for layer in layers)


def test_a_dead_network_is_noticed_and_stopped() -> None:
    (large, plain) = training.train(drawn(), (v.SCALED, v.BASELINE), PROTOCOL, seed=0, epochs=6, tick=untold)
    assert large.died is not None and large.first_zero is not None and large.first_zero <= large.died
    assert len(large.losses) == large.died + PROTOCOL.patience
    assert large.losses[large.died :] == pytest.approx([math.log(10)] * PROTOCOL.patience)
    assert large.final is not None and large.final.dead > 0.9
    assert plain.died is None and len(plain.tests) == 6 and plain.last.accuracy > 0.9


def test_workers_do_not_change_results() -> None:
    asked = (v.BASELINE, v.BOTH, v.STANDARDISED)
    threads = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        with workers() as pool:
            shared = training.train(drawn(), asked, PROTOCOL, seed=1, epochs=1, tick=untold, workers=pool)
            assert torch.get_num_threads() == 1
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(threads)
    by_one = [training.train(drawn(), [a], PROTOCOL, seed=1, epochs=1, tick=untold, workers=alone)[0] for a in asked]
    assert [c.losses for c in shared] == [pytest.approx(c.losses, rel=1e-6) for c in by_one]


def test_the_microscope_sees_the_first_steps_of_the_same_run() -> None:
    watch = microscope.watch(drawn(), (v.SCALED,), PROTOCOL, seed=0, steps=6, tick=untold)[v.SCALED]
    (course,) = training.train(drawn(), (v.SCALED,), PROTOCOL, seed=0, epochs=2, tick=untold)
    assert watch.losses == pytest.approx(course.losses[:6], rel=1e-6)
    assert watch.dead == sorted(watch.dead) and watch.dead[-1] > 0.9 > watch.dead[0]
    assert watch.gradients[0] > 0 and set(watch.kept) == {0, 1, 5}


def encoded(picture: np.ndarray) -> bytes:
    file = io.BytesIO()
    Image.fromarray(picture).save(file, "PNG")
    return file.getvalue()


def write_parquet(folder: Path, pictures: Pictures) -> None:
    for split, pixels, labels in parts(pictures):
        images = pixels.transpose(0, 2, 1).reshape(len(pixels), SIDE, SIDE, 3)
        blobs = [{"bytes": encoded(image), "path": None} for image in images]
        pq.write_table(pa.table({"img": blobs, "label": labels}), folder / f"{split}-00000-of-00001.parquet")


def write_csv(folder: Path, pictures: Pictures) -> None:
    for split, pixels, labels in parts(pictures):
        table = np.column_stack([labels, pixels.reshape(len(pixels), -1)])
        heading = ",".join(["label", *(f"p{i}" for i in range(table.shape[1] - 1))])
        np.savetxt(folder / f"{split}.csv", table, "%d", ",", header=heading, comments="")


def parts(pictures: Pictures):
    yield "train", pictures.train.numpy(), pictures.train_labels.numpy()
    yield "test", pictures.test.numpy(), pictures.test_labels.numpy()


@pytest.mark.parametrize("write", [write_parquet, write_csv])
def test_layouts_give_the_same_bytes(tmp_path: Path, write) -> None:
    (tmp_path / "cifar10").mkdir()
    write(tmp_path / "cifar10", drawn(600))
    found = source.read(source.find(tmp_path))
    for name in ("train", "train_labels", "test", "test_labels"):
        assert torch.equal(getattr(found, name), getattr(drawn(600), name))


def test_the_batches_are_read_without_unpickling(tmp_path: Path) -> None:
    numbers = np.random.default_rng(0)
    pixels, labels = numbers.integers(0, 256, (700, 3072), np.uint8), numbers.integers(0, 10, 700).tolist()
    for name, rows in {
        "data_batch_1": slice(0, 400),
        "data_batch_2": slice(400, 600),
        "test_batch": slice(600, 700),
    }.items():
        held = {"labels": labels[rows], "data": pixels[rows].tobytes()}
        (tmp_path / name).write_bytes(pickle.dumps(held, protocol=2))
    found = source.read(tmp_path)
    assert np.array_equal(found.train.numpy().reshape(600, -1), pixels[:600])
    assert found.test_labels.tolist() == labels[600:]


def test_last_sixth_of_a_single_table_is_the_test_set(tmp_path: Path) -> None:
    write_csv(tmp_path, drawn(1200))
    found = source.read(tmp_path / "train.csv")
    assert (len(found.train), len(found.test)) == (834, 166)
    assert torch.equal(torch.cat([found.train, found.test]), drawn(1200).train)


@pytest.mark.parametrize(
    ("table", "reason"),
    [
        ("a,b\n1,2\n", "three planes"),
        ("label,a,b,c\n" + "1,0.5,2,3\n" * 700, "whole numbers"),
        ("label,a,b,c\n" + "11,5,2,3\n" * 700, "labels"),
        ("label,a,b,c\n" + "1,5,2,3\n" * 70, "too few"),
        ("label,a,b,c\n" + "1,5,2,300\n" * 700, "whole numbers"),
        ("label,a,b,c\n" + "1,5,2,\n" * 700, "whole numbers"),
        ("label\n" + "1\n" * 700, "three planes|label"),
    ],
)
def test_invalid_cifar_raises_one_line(tmp_path: Path, table: str, reason: str) -> None:
    (tmp_path / "cifar.csv").write_text(table)
    with pytest.raises(Unavailable, match=reason) as refused:
        source.read(tmp_path / "cifar.csv")
    assert "\n" not in str(refused.value) and "cifar-10-batches-py" in str(refused.value)


def test_missing_data_names_the_places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("UNSTUCK_DATA", raising=False)
    monkeypatch.chdir(tmp_path)
    for asked in (None, tmp_path / "nowhere"):
        with pytest.raises(Unavailable) as refused:
            cifar.tell(Request(data=asked), untold)
        assert all(word in str(refused.value) for word in ("cifar-10-batches-py", "parquet", "CSV", "--data"))
    assert command.STUDIES["cifar"] == cifar.__name__


@pytest.fixture(scope="module")
def evidence() -> Evidence:
    torch.manual_seed(0)
    plan = Plan(seeds=2, epochs=3, watched=12, compared=4, scales=(1.0, 16.0, 255.0), protocol=PROTOCOL)
    return gather(drawn(), plan, untold)


def test_sections_are_computed_from_the_run(evidence: Evidence) -> None:
    study = cifar.told(evidence, ("Data: drawn.",))
    text = terminal.render(study)
    assert len(study.sections) == 12
    for accuracy in evidence.accuracy(v.BASELINE).values:
        assert f"{accuracy:.1f}" in study.answer and f"{accuracy:.1f}" in text
    for section in study.sections:
        assert section.claim and section.measurement and " nan" not in section.measurement
    assert "to the last bit" in text and all(variant.name in text.replace("\n", " ") for variant in v.WATCHED[:3])


def test_a_verdict_follows_the_numbers(evidence: Evidence) -> None:
    def verdict(of: Evidence, title: str) -> str:
        return next(s.verdict for s in cifar.told(of, ()).sections if title in s.title)

    def swapped(one: v.Variant, other: v.Variant) -> Evidence:
        return replace(evidence, courses=evidence.courses | {one: evidence.courses[other]})

    assert verdict(swapped(v.BOTH, v.BASELINE), "Both weights") == "holds"
    assert verdict(swapped(v.BOTH, v.SCALED), "Both weights") == "does not hold"
    assert verdict(swapped(v.RATE, v.SCALED), "compensates") == "does not hold"
    assert verdict(swapped(v.RATE, v.BASELINE), "compensates") == "holds"
    repaired = replace(evidence, sweep=[(r, r) for _, r in evidence.sweep])
    assert verdict(evidence, "any scale") == "holds" != verdict(repaired, "any scale")


def test_the_study_runs_from_a_folder(tmp_path: Path) -> None:
    write_parquet(tmp_path, drawn(600))
    heard: list[tuple[float, str]] = []
    study = cifar.tell(Request(data=tmp_path, quick=True, epochs=1, seeds=1), lambda *told: heard.append(told))
    shares = [share for share, _ in heard]
    assert shares == sorted(shares) and shares[-1] == pytest.approx(1.0)
    assert any(what.endswith(" left") for _, what in heard[:5])
    assert study.name == "cifar" and "500 training" in study.made[0]


@pytest.mark.net
def test_askers_script_dies_on_bytes(tmp_path: Path) -> None:
    script = Path(__file__).parents[2] / "examples" / "cifar.py"
    numbers = np.random.default_rng(0)
    for split, rows in {"train": 5000, "test": 250}.items():
        seen = [encoded(p) for p in numbers.integers(0, 256, (50, 32, 32, 3), np.uint8)]
        blobs = [{"bytes": seen[i % 50], "path": None} for i in range(rows)]
        pq.write_table(
            pa.table({"img": blobs, "label": numbers.integers(0, 10, rows)}), tmp_path / f"{split}-0.parquet"
        )
    told = subprocess.run(
        [sys.executable, str(script), str(tmp_path)],
        env=os.environ | {"EPOCHS": "1", "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert 0.0 < float(told.stdout.rsplit(maxsplit=1)[1]) < 0.2
    lost = subprocess.run([sys.executable, str(script)], capture_output=True, text=True, check=False)
    assert lost.returncode == 1 and "usage" in lost.stderr and "Traceback" not in lost.stderr


def test_the_first_steps_on_the_pictures_themselves() -> None:
    folder = Path(os.environ.get("UNSTUCK_DATA", ""))
    if not os.environ.get("UNSTUCK_DATA") or not any((folder / name).exists() for name in source.FOLDERS):
        pytest.skip("needs CIFAR-10 in $UNSTUCK_DATA")
    watches = microscope.watch(
        source.read(source.find(folder)), (v.BASELINE, v.SCALED), v.Protocol(), seed=0, steps=4, tick=untold
    )
    assert watches[v.BASELINE].gradients == pytest.approx([1.06, 0.83, 0.78, 0.86], rel=0.02)
    assert watches[v.SCALED].gradients == pytest.approx([1632, 8914, 814000, 705100], rel=0.02)
    assert watches[v.SCALED].losses == pytest.approx([52.3, 126333, 9.3e6, 1.3e6], rel=0.05)
