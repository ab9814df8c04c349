"""Micro-experiments on small programs that differ in one call: what each of them tells, and where it is silent."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest

from tests.recorded import Findings, Record
from unstuck.diagnosis.examine import Readings, examine
from unstuck.diagnosis.model import NotApplicable
from unstuck.micro import birth, bootstrap, by_heart, copied, dependence, left_rows, reach, rows, same_rows, terms
from unstuck.micro.step import Recorded
from unstuck.micro.training import Training
from unstuck.rules.catalogue import catalogue

HEAD = """
import torch
from torch import nn
import torch.nn.functional as F

torch.manual_seed(0)
"""
LOOP = """
optimizer = torch.optim.Adam([p for m in (one, two) for p in m.parameters()], lr=0.01)
for chosen in torch.randperm({count}).split(20):
    loss = step(chosen)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
"""
FLAT = (
    HEAD
    + """
x = torch.randn(120, 6)
x[::3, 2] = 0
y = (x[:, 0] > 0).long()
one, two = nn.Linear(6, 8), nn.Linear(8, 2)


def step(chosen):
    given, wanted = x[chosen], y[chosen]
    {body}
"""
    + LOOP.format(count=120)
)
TOKENS = (
    HEAD
    + """
follows = torch.randperm(16)
x = [torch.randint(0, 16, (120,))]
for _ in range(9):
    x.append(torch.where(torch.rand(120) < 0.2, torch.randint(0, 16, (120,)), follows[x[-1]]))
x = torch.stack(x, 1)
one, two = nn.Embedding(17, 12), {layer}
head = nn.Linear({width}, 17)


def step(chosen):
    tokens = x[chosen]
    {body}
"""
    + LOOP.format(count=120).replace("(one, two)", "(one, two, head)")
)


def recorded(record: Record, text: str) -> Recorded:
    return Recorded(record(text, steps=6))


@pytest.mark.parametrize(
    ("body", "name", "kind", "place"),
    [
        ("return F.cross_entropy(two(one(given) / given[:, 2:3].abs()), wanted)", "div", "zero", "forward"),
        ("return F.cross_entropy(two(one(given).relu().log()), wanted)", "log", "zero", "forward"),
        ("return F.cross_entropy(two((one(given) * given[:, 2:3]).abs().sqrt()), wanted)", "sqrt", "zero", "backward"),
        ("return F.cross_entropy(two((one(given) * given[:, 2:3]).abs() ** 0.5), wanted)", "pow", "zero", "backward"),
        ("return F.cross_entropy(two((one(given) * 0 + 1).acos()), wanted)", "acos", "edge", "backward"),
        ("return F.cross_entropy(two((one(given) - float('inf')).softmax(1)), wanted)", "softmax", "masked", "forward"),
        ("return F.cross_entropy(two(one(given)[:0]).mean(0), wanted[0])", "mean", "empty", "forward"),
        ("return F.cross_entropy(two((one(given) * 200).exp()), wanted)", "exp", "overflow", "forward"),
        ("return F.cross_entropy(two(one(given)), wanted * 0 - 100)", "cross_entropy", "empty", "forward"),
    ],
)
def test_the_call_at_which_nan_is_born_is_named(record: Record, body: str, name: str, kind: str, place: str) -> None:
    found = birth.ask(recorded(record, FLAT.format(body=body)))
    assert found.call is not None
    assert (found.call.name, found.what.kind, found.place, found.at) == (name, kind, place, 0)
    assert found.call.site is not None and "return" in FLAT.format(body=body).splitlines()[found.call.site.line - 1]


@pytest.mark.parametrize("factor", ["1e30", "float('inf')"])
def test_a_first_loss_that_is_not_finite_is_never_passed_over(record: Record, findings: Findings, factor: str) -> None:
    body = f"return ((two(one(given)) * {factor}) ** 2).mean() - wanted.float().mean()"
    tape = record(FLAT.format(body=body), steps=6)
    rule = catalogue()["nonfinite-gradient"]
    readings = Readings(tape, (birth.ask(Recorded(tape)),))
    assert examine(readings, {rule.fault: rule})[0]
    assert findings(tape, "nonfinite-gradient"), "without the micro-experiment too"


def test_nothing_is_born_where_a_mask_is_infinite(record: Record) -> None:
    body = (
        "return F.cross_entropy(two(one(given).masked_fill(given[:, :1].expand(-1, 8) > 9, -torch.inf).exp()), wanted)"
    )
    with pytest.raises(NotApplicable, match="finite"):
        birth.ask(recorded(record, FLAT.format(body=body)))


def test_nan_that_enters_with_the_batch_is_no_call_s(record: Record) -> None:
    text = FLAT.format(body="return F.cross_entropy(two(one(given)), wanted)").replace(
        "x[::3, 2] = 0", "x[5] = torch.nan"
    )
    assert birth.ask(recorded(record, text)).place == "entering"


def test_the_training_is_followed_to_the_recorded_losses(record: Record) -> None:
    body = "return F.cross_entropy(two(one(given).relu()), wanted)"
    known = recorded(record, FLAT.format(body=body))
    training, losses = Training(known), []
    for _ in known.tape.passes:
        made = training.step().backward()
        losses.append(float(made.loss))
        training.advance(made.gradients)
    assert losses == pytest.approx([p.loss for p in known.tape.passes], rel=1e-4)


STATES = "scores = head(two(one(tokens{given}))[0])\n    return F.cross_entropy(scores.transpose(1, 2), tokens{wanted})"
GRU, BOTH = "nn.GRU(12, 24, batch_first=True)", "nn.GRU(12, 12, batch_first=True, bidirectional=True)"
ALL, LAST, NEXT = "", "[:, :-1]", "[:, 1:]"


@pytest.mark.parametrize(
    ("layer", "given", "wanted", "form", "solved"),
    [
        (GRU, ALL, ALL, "same", True),
        (GRU, LAST, NEXT, None, False),
        (BOTH, LAST, NEXT, "later", True),
        (BOTH, ALL, ALL, None, False),
    ],
)
def test_a_copy_is_seen_only_where_it_solves_the_task(
    record: Record, layer: str, given: str, wanted: str, form: str | None, solved: bool
) -> None:
    text = TOKENS.format(layer=layer, width=24, body=STATES.format(given=given, wanted=wanted))
    try:
        found = copied.ask(recorded(record, text))
    except NotApplicable:
        assert form is None
        return
    assert (found.form, found.solved) == (form, solved)


@pytest.mark.parametrize(
    ("body", "name"),
    [
        ("h = one(given).relu()\n    return F.cross_entropy(two(h), wanted)", ""),
        ("h = F.batch_norm(one(given), None, None, training=True)\n    return F.cross_entropy(two(h), wanted)", ""),
        ("h = one(given).reshape(8, -1).t()\n    return F.cross_entropy(two(h), wanted)", "reshape"),
        ("h = one(given).softmax(0)\n    return F.cross_entropy(two(h), wanted)", "softmax"),
        ("h = one(given)\n    h = h - h.mean(0)\n    return F.cross_entropy(two(h), wanted)", "sub"),
    ],
)
def test_the_call_that_mixes_rows_is_named(record: Record, body: str, name: str) -> None:
    found = rows.ask(recorded(record, FLAT.format(body=body)))
    assert found.mixed == bool(name)
    assert (found.call.name if found.mixed and found.call is not None else "") == name


def test_rows_that_a_matrix_joins_are_meant(record: Record) -> None:
    text = FLAT.format(body="return F.cross_entropy(two(near @ one(given)), wanted)")
    text = text.replace("one, two =", "near = torch.rand(20, 20)\none, two =")
    found = rows.ask(recorded(record, text))
    assert found.mixed and found.meant and not found.statements


def test_a_bias_that_a_difference_does_not_depend_on_is_not_told(record: Record) -> None:
    body = "return (one(given)[:, 0] - one(given.flip(1))[:, 0] - wanted).square().mean()"
    found = reach.ask(recorded(record, FLAT.format(body=body)))
    assert [w.name for w in found.weights if w.kind == "zero"] == ["one.bias"] and not found.statements


SENTENCES = (
    HEAD
    + """
x, y = torch.randn(5, 7, 4), torch.randint(0, 3, (5, 7))


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer, self.head = {layer}, nn.Linear(8, 3)

    def forward(self, x):
        return self.head({hidden})


net = Net()
optimizer = torch.optim.Adam(net.parameters(), lr=0.01)
for epoch in range(6):
    out = net(x)
    loss = {loss}
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
"""
)


@pytest.mark.parametrize(
    ("layer", "hidden"),
    [
        ("nn.GRU(4, 8)", "self.layer(x.transpose(0, 1))[0].transpose(0, 1)"),
        ("nn.GRU(4, 8, batch_first=True)", "self.layer(x)[0]"),
        ("nn.Linear(4, 8)", "(lambda h: (h @ h.mT).softmax(-1) @ h)(self.layer(x))"),
    ],
)
@pytest.mark.parametrize(
    "loss", ["sum(map(F.cross_entropy, out, y))", "sum(F.cross_entropy(out[i], y[i]) for i in range(5))"]
)
def test_steps_of_one_sentence_are_no_rows_of_a_batch(layer: str, hidden: str, loss: str, record: Record) -> None:
    text = SENTENCES.format(layer=layer, hidden=hidden, loss=loss)
    with pytest.raises(NotApplicable, match="steps of one"):
        rows.ask(recorded(record, text))


STREAM = (
    HEAD
    + """
stream = torch.randn(400, 4).cumsum(0)
layer, head = nn.GRU(4, 8), nn.Linear(8, 4)
optimizer = torch.optim.Adam([*layer.parameters(), *head.parameters()], lr=0.01)
for start in range(0, 120, 20):
    given, wanted = stream[start : start + 20], {wanted}
    loss = F.mse_loss(head(layer(given.unsqueeze(1))[0].squeeze(1)), wanted)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
"""
)


def test_a_stream_that_is_to_be_continued_is_one_sequence(record: Record) -> None:
    with pytest.raises(NotApplicable, match="steps of one"):
        rows.ask(recorded(record, STREAM.format(wanted="stream[start + 1 : start + 21]")))
    assert rows.ask(recorded(record, STREAM.format(wanted="stream[start : start + 20].flip(1)"))).statements


def test_rows_that_a_recurrent_layer_mixes_are_told(record: Record) -> None:
    last = "F.cross_entropy(out[:, -1], y[:, 0])"
    found = rows.ask(recorded(record, SENTENCES.format(layer="nn.GRU(4, 8)", hidden="self.layer(x)[0]", loss=last)))
    assert [s.fault for s in found.statements] == ["axes-swapped"]


PACKED = """
import torch
from torch import nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence, pad_sequence

torch.manual_seed(0)
sentences = [torch.randint(1, 20, (int(n),)) for n in torch.randint(3, 15, (200,))]
y = torch.tensor([int((s > 10).float().mean() > 0.5) for s in sentences])
words, layer, drop, head = nn.Embedding(20, 8), {layer}, nn.Dropout(0.2), nn.Linear(16, 2)
optimizer = torch.optim.Adam([p for m in (words, layer, head) for p in m.parameters()], lr=0.01)
for epoch in range(3):
    for chosen in torch.randperm(200).split(20):
        batch = [sentences[n] for n in chosen]
        lengths = torch.tensor([len(s) for s in batch])
        given = words(pad_sequence(batch, batch_first=True))
        out, end = layer(pack_padded_sequence(given, lengths, batch_first=True, enforce_sorted=False))
        out, _ = pad_packed_sequence(out, batch_first=True)
        loss = nn.functional.cross_entropy(head(drop({read})), y[chosen])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
"""
GRU = "nn.GRU(8, 16, batch_first=True)"


@pytest.mark.parametrize(
    "layer", [GRU, "nn.LSTM(8, 8, batch_first=True, bidirectional=True)", "nn.RNN(8, 16, batch_first=True)"]
)
def test_packed_sequences_are_run_again(record: Record, layer: str) -> None:
    again = recorded(
        record, PACKED.format(layer=layer, read="out[torch.arange(20), lengths - 1]").replace("drop(", "(")
    )
    assert again.first.loss() == pytest.approx(again.tape.passes[0].loss, rel=1e-5)


def test_rows_that_are_read_in_their_padding_are_counted_at_the_call(record: Record) -> None:
    (told,) = dependence.ask(recorded(record, PACKED.format(layer=GRU, read="out[:, -1]"))).statements
    assert "of 20 different rows get the same output from the first step on" in told.what
    assert told.what.endswith("getitem() makes them equal")
    assert (
        told.site is not None
        and "out[:, -1]" in PACKED.format(layer=GRU, read="out[:, -1]").splitlines()[told.site.line - 1]
    )


@pytest.mark.parametrize("read", ["out[torch.arange(20), lengths - 1]", "end[0]", "out.sum(1)", "out.amax(1)"])
def test_rows_that_are_read_at_their_ends_differ(record: Record, read: str) -> None:
    assert dependence.ask(recorded(record, PACKED.format(layer=GRU, read=read))).statements == ()


def test_rows_for_which_few_units_are_at_rest_are_left_alone(record: Record) -> None:
    narrow = FLAT.replace("nn.Linear(6, 8), nn.Linear(8, 2)", "nn.Linear(6, 2), nn.Linear(2, 2)")
    body = "return F.cross_entropy(two(one(given).relu()), wanted)"
    assert dependence.ask(recorded(record, narrow.format(body=body))).statements == ()


DENOISED = """
import torch
from torch import nn

torch.manual_seed(0)
clean = torch.rand(400, 2)
levels = torch.linspace(0.05, 1.0, 8)
angles = torch.stack([(levels * k).sin() for k in range(1, 17)], 1)
net, time = nn.Linear(2, 32), nn.Linear(16, 32)
head = nn.Linear(32, 2)
optimizer = torch.optim.Adam([*net.parameters(), *time.parameters(), *head.parameters()], lr=0.01)
for epoch in range(3):
    for rows in torch.randperm(400).split(50):
        level, noise = torch.randint(0, 8, (50,)), torch.randn(50, 2)
        given = {given}
        loss = (head((net(given) + time(angles[level])).relu()) - noise).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
"""


@pytest.mark.parametrize(
    ("given", "repeated"),
    [("clean[rows] + levels[level, None] * noise", False), ("clean[rows[:1]] + levels[level, None]", True)],
)
def test_a_row_is_all_that_enters_for_it(record: Record, given: str, repeated: bool) -> None:
    found = same_rows.ask(recorded(record, DENOISED.format(given=given)))
    assert bool(found.statements) is repeated


@pytest.mark.parametrize(("weights", "different"), [("torch.ones(600)", 25), ("torch.ones(4)", 4)])
def test_statistics_as_long_as_the_batch_are_no_part_of_a_row(record: Record, weights: str, different: int) -> None:
    text = same_rows.QUIET.replace("nn.Linear(6, 32), nn.ReLU()", "nn.Linear(6, 32), nn.BatchNorm1d(32), nn.ReLU()")
    text = re.sub(r"WeightedRandomSampler\(.*\)", f"WeightedRandomSampler({weights}, 600)", text)
    found = same_rows.ask(recorded(record, text.replace("batch_size=40", "batch_size=32")))
    assert found.different >= different if different > 4 else found.different == different


VISITS = """
import torch
from torch import nn

torch.manual_seed(0)
people, films = torch.randint(0, {people}, (400,)), torch.randint(0, {people}, (400,))
hour = torch.randint(0, 24, (400,)) / 24 + 0.01
liked = ((people + films) % 3).float() * hour
person, film, head = nn.Embedding(30, 8), nn.Embedding(30, 8), nn.Linear(22, 1)
optimizer = torch.optim.Adam([*person.parameters(), *film.parameters(), *head.parameters()], lr=0.01)
for epoch in range(3):
    for rows in torch.randperm(400).split(50):
        angles = hour[rows, None] * torch.arange(1, 7)
        known = torch.cat([person(people[rows]), film(films[rows]), angles], 1)
        loss = (head(known)[:, 0] - liked[rows]).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
"""


@pytest.mark.parametrize(("people", "repeated"), [(30, False), (1, True)])
def test_ids_that_enter_beside_numbers_tell_rows_apart(people: int, repeated: bool, record: Record) -> None:
    found = same_rows.ask(recorded(record, VISITS.format(people=people)))
    assert bool(found.statements) is repeated


def test_terms_are_taken_apart_down_to_their_reductions(record: Record) -> None:
    body = "h = one(given)\n    return F.cross_entropy(two(h), wanted) + 0.5 * (h**2 - h).sum() - h.abs().mean()"
    found = terms.ask(recorded(record, FLAT.format(body=body)))
    assert [t.maker.name for t in found.terms if t.maker is not None] == ["cross_entropy", "sum", "mean"]
    assert [t.asked for t in found.terms] == [True, False, False]
    assert [t.summed for t in found.terms] == [False, True, False]
    assert sum(t.share for t in found.terms) == pytest.approx(1.0, abs=0.1)


def test_of_a_loss_that_may_fall_below_zero_no_share_is_told(record: Record) -> None:
    text = by_heart.QUIET.replace("[:, :3].argmax(1)", "[:, :1] * 0.01").replace(
        "nn.functional.cross_entropy(model(x[rows]), y[rows])",
        "nn.functional.gaussian_nll_loss(model(x[rows])[:, :1], y[rows], model(x[rows])[:, 1:2].exp())",
    )
    with pytest.raises(NotApplicable, match="below 0"):
        by_heart.ask(Recorded(record(text)))


def test_of_a_loss_that_holds_detached_advantages_no_batch_is_to_be_learnt(record: Record) -> None:
    body = (
        "wanted = wanted.float()\n    v = two(one(given).relu())\n    a = (wanted - v[:, 0]).detach()\n"
        "    return -(F.log_softmax(v, 1)[:, 1] * a).mean() + 0.5 * (v[:, 0] - wanted).abs().mean()"
    )
    with pytest.raises(NotApplicable, match="cut off"):
        by_heart.ask(Recorded(record(FLAT.format(body=body))))


@pytest.mark.parametrize(
    ("optimizer", "unit", "given", "verdict"),
    [
        ("Adam", 1, 0.01, ""),
        ("SGD", 1, 1e-6, "optimizer"),
        ("SGD", 1, 3e-4, "rate"),
        ("SGD", 1, 300.0, "rate"),
        ("Adam", 1e-6, 0.01, "units"),
        ("Adam", 0, 0.01, "neither"),
    ],
)
def test_a_batch_learnt_by_heart_tells_the_optimizer_from_the_rest(
    record: Record, optimizer: str, unit: float, given: float, verdict: str
) -> None:
    text = FLAT.format(body="return F.cross_entropy(two(one(given).relu()), wanted)")
    text = text.replace("one, two =", f"x *= {unit}\none, two =").replace("Adam(", f"{optimizer}(")
    found = by_heart.ask(recorded(record, text.replace("lr=0.01", f"lr={given}")))
    assert found.verdict == verdict, found.why
    if verdict == "rate":
        assert found.statements[0].what.endswith("too high" if given > 1 else "too low")
    assert [bool(s.site) for s in found.statements] == [True] * bool(verdict)


def test_adam_gets_its_turn_where_the_time_is_short(record: Record, monkeypatch: pytest.MonkeyPatch) -> None:
    text = FLAT.format(body="return F.cross_entropy(two(one(given).relu()), wanted)").replace("Adam(", "SGD(")
    clock = iter(range(10**6))
    monkeypatch.setattr("unstuck.micro.arms.time.thread_time", lambda: float(next(clock)))
    asked = recorded(record, text.replace("lr=0.01", "lr=1e-6"))
    found = by_heart.ask(replace(asked, seconds=80.0))
    assert found.neutral is not None and found.verdict == "optimizer", found.why
    assert by_heart.FEWEST <= found.own.steps < by_heart.PATIENT * 2
    assert found.neutral.steps <= found.own.steps
    with pytest.raises(NotApplicable, match="half of the 20 s"):
        by_heart.ask(replace(asked, seconds=20.0))


@pytest.mark.parametrize(
    ("body", "changed", "kinds"),
    [
        ("return F.cross_entropy(two(one(given).relu()), wanted)", "", {}),
        ("return F.cross_entropy(two(one(given).detach()), wanted)", "", {"nowhere": {"one.weight", "one.bias"}}),
        ("return F.cross_entropy(two(one(given) * 0), wanted)", "", {"zero": {"one.weight", "one.bias", "two.weight"}}),
        ("return F.cross_entropy(two(one(given).relu()), wanted)", "lr=1e-12", {"rounded": {"one.weight"}}),
        ("return F.cross_entropy(two(one(given).relu()), wanted)", "lr=9.0", {"large": {"one.weight", "two.weight"}}),
    ],
)
def test_weights_that_no_gradient_reaches_or_no_step_moves_are_named(
    record: Record, body: str, changed: str, kinds: dict[str, set[str]]
) -> None:
    text = FLAT.format(body=body).replace("lr=0.01", changed or "lr=0.01")
    found = reach.ask(recorded(record, text))
    for kind, names in kinds.items():
        assert names <= {w.name for w in found.weights if w.kind == kind}, found.weights
    assert {w.kind for w in found.weights} - {"sound"} == set(kinds)
    assert len(found.statements) == len(kinds) and all(s.site is not None for s in found.statements)


HERE = "F.mse_loss(two(one(given))[:, 0], wanted + 0.9 * two(one(given)).max(1)[0])"
LATER = HERE.replace("0.9 * two(one(given))", "0.9 * two(one(x[chosen - 1]))")


@pytest.mark.parametrize(
    ("body", "found"),
    [
        (LATER, True),
        (LATER.replace("0.9 *", "(1 - wanted) * 0.9 *"), True),
        ("((wanted + 0.9 * two(one(x[chosen - 1])).max(1)[0]) - two(one(given))[:, 0]).pow(2).mean()", True),
        (LATER.replace("[0])", "[0].detach())"), False),
        (LATER.replace("wanted + 0.9 *", ""), False),
        (HERE, False),
        ("F.mse_loss(two(one(given))[:, 0], wanted + 0.9 * given.abs().sum(1))", False),
    ],
)
def test_a_target_that_the_network_makes_is_seen_with_its_gradient(record: Record, body: str, found: bool) -> None:
    known = recorded(record, FLAT.format(body=f"return {body}"))
    if not found:
        with pytest.raises(NotApplicable):
            bootstrap.ask(known)
        return
    read = bootstrap.ask(known)
    assert read.site is not None and all(-1 <= c < 1 for c in read.turned)


@pytest.mark.parametrize(
    ("body", "left"),
    [
        ("return F.cross_entropy(two(one(given))[:5], wanted[:5])", 15),
        ("return F.cross_entropy(two(one(given))[5:], wanted[5:])", 0),  # a quarter may be meant
        ("return (F.cross_entropy(two(one(given)), wanted, reduction='none') * (given[:, 1] > 0.8)).mean()", 0),
        ("return F.relu(1 - two(one(given))[:, 0] * (2 * wanted - 1)).mean()", 0),
    ],
)
def test_rows_that_no_batch_reads_are_counted(body: str, left: int, record: Record) -> None:
    assert left_rows.ask(recorded(record, FLAT.format(body=body))).left == left


def test_the_last_step_of_sequences_with_steps_first_leaves_no_row_out(record: Record) -> None:
    text = FLAT.replace("one, two = nn.Linear(6, 8), nn.Linear(8, 2)", "one, two = nn.GRU(6, 8), nn.Linear(8, 2)")
    steps = "given.expand(12, -1, -1) * torch.rand(12, 1, 1)"
    body = f"return F.cross_entropy(two(one({steps})[0][-1]), wanted)"
    assert left_rows.ask(recorded(record, text.format(body=body))).left == 0


def test_batch_norms_in_a_row_are_no_mixture_by_the_layer_behind_them(record: Record) -> None:
    normalised = "F.batch_norm({}, None, None, training=True)"
    inner = normalised.format("one(given).relu()")
    for _ in range(4):
        inner = normalised.format(f"({inner} * 1.5).tanh()")
    assert not rows.ask(recorded(record, FLAT.format(body=f"return F.cross_entropy(two({inner}), wanted)"))).mixed


def test_weights_of_an_optimizer_that_does_not_step_there_need_no_gradient(record: Record) -> None:
    text = """
import torch
from torch import nn

torch.manual_seed(0)
x = torch.randn(200, 8)
y = (x[:, 0] > 0).long()
encoder, probe = nn.Linear(8, 6), nn.Linear(6, 2)
first = torch.optim.Adam(encoder.parameters(), lr=0.01)
second = torch.optim.Adam(probe.parameters(), lr=0.01)
for step in range(40):
    rows = torch.randint(0, 200, (20,))
    if step % 8 == 0:
        loss = (encoder(x[rows]).square().mean() - 1) ** 2
        first.zero_grad()
        loss.backward()
        first.step()
    loss = nn.functional.cross_entropy(probe(encoder(x[rows]).detach()), y[rows])
    second.zero_grad()
    loss.backward()
    second.step()
"""
    found = reach.ask(recorded(record, text))
    assert [w.kind for w in found.weights] == ["sound"] * len(found.weights)
    assert not found.statements
