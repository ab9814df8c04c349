"""Every line of the table of torch calls, checked against torch itself."""

from __future__ import annotations

import functools
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode, resolve_name

from unstuck.tape import ops
from unstuck.tape.interpreter import table
from unstuck.tape.ops import Op
from unstuck.tape.program import Call

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")
SHAPE = (4, 5, 6)
WHOLE = ("long", "int", "short", "one_hot")
POSITIVE = ("log", "log2", "log10", "log1p", "sqrt", "rsqrt", "poisson", "multinomial", "bernoulli", "pow")
EVERYTHING = {  # what the calls of one tensor and nothing else cannot be called with
    "view": lambda x: x.view(5, -1),
    "reshape": lambda x: x.reshape(-1, 4),
    "view_as": lambda x: x.view_as(x.mT),
    "reshape_as": lambda x: x.mT.reshape_as(x),
    "unflatten": lambda x: x.unflatten(2, (2, 3)),
    "unsqueeze": lambda x: x.unsqueeze(1),
    "squeeze": lambda x: x[:, :1].squeeze(1),
    "permute": lambda x: x.permute(2, 0, 1),
    "transpose": lambda x: x.transpose(0, 2),
    "t": lambda x: x[0].t(),
    "T": lambda x: x[0].T,
    "mT": lambda x: x.mT,
    "movedim": lambda x: x.movedim(0, 2),
    "swapaxes": lambda x: x.swapaxes(0, 1),
    "flip": lambda x: x.flip(1),
    "roll": lambda x: x.roll(1, 1),
    "float": lambda x: x.float(),
    "half": lambda x: x.half(),
    "cuda": lambda x: x,
    "bfloat16": lambda x: x.bfloat16(),
    "to": lambda x: x.to(torch.float64),
    "type": lambda x: x.type(torch.float64),
    "type_as": lambda x: x.type_as(x),
    "positive": lambda x: +x,
    "requires_grad": lambda x: x.requires_grad_(),
    "data": lambda x: x.data,
    "item": lambda x: torch.tensor(x.sum().item()),
    "tolist": lambda x: torch.tensor(x.tolist()),
    "numpy": lambda x: torch.tensor(x.detach().numpy()),
    "detach": lambda x: x.detach(),
    "getitem": lambda x: x[1:, 2],
    "select": lambda x: x.select(1, 2),
    "narrow": lambda x: x.narrow(1, 0, 2),
    "chunk": lambda x: x.chunk(2, 1),
    "split": lambda x: x.split(2, 1),
    "tensor_split": lambda x: x.tensor_split(2, 1),
    "index_select": lambda x: x.index_select(1, torch.tensor([0, 3])),
    "take": lambda x: x.take(torch.tensor([1, 7])),
    "gather": lambda x: x.gather(1, torch.zeros(4, 2, 6).long()),
    "masked_select": lambda x: x.masked_select(MASK),
    "take_along_dim": lambda x: x.take_along_dim(torch.zeros(4, 2, 6).long(), 1),
    "expand": lambda x: x.expand(2, *SHAPE),
    "expand_as": lambda x: x.expand_as(torch.zeros(2, *SHAPE)),
    "broadcast_to": lambda x: x.broadcast_to((2, *SHAPE)),
    "broadcast_tensors": lambda x: torch.broadcast_tensors(x, torch.zeros(2, *SHAPE))[0],
    "repeat": lambda x: x.repeat(2, 1, 1),
    "repeat_interleave": lambda x: x.repeat_interleave(2, 1),
    "tile": lambda x: x.tile(2),
    "diagonal": lambda x: x.diagonal(),
    "rsub": lambda x: 1 - x,
    "rtruediv": lambda x: 2 / x,
    "pow": lambda x: x**3 - 2 * x,
    "rpow": lambda x: 2**x + 2**-x,
    "masked_fill": lambda x: x.masked_fill(MASK, 0.5),
    "clamp": lambda x: x.clamp(-1, 1),
    "clamp_min": lambda x: x.clamp_min(0),
    "clamp_max": lambda x: x.clamp_max(0),
    "max": lambda x: x.max(1).values,
    "min": lambda x: x.min(1).values,
    "median": lambda x: x.median(1).values,
    "norm": lambda x: x.norm(dim=1),
    "normalize": lambda x: F.normalize(x, dim=1),
    "threshold": lambda x: F.threshold(x, 0.3, 0.2),
    "prelu": lambda x: F.prelu(x, torch.tensor([0.25]).double()),
    "glu": lambda x: F.glu(x, 1) if x.shape[1] % 2 == 0 else F.glu(x, 2),
    "gumbel_softmax": lambda x: F.gumbel_softmax(x, dim=1),
    "one_hot": lambda x: F.one_hot(x.long(), 12),
    "multinomial": lambda x: x[0].multinomial(3),
    "poisson": torch.poisson,
    "bernoulli": lambda x: (x / (1 + x)).bernoulli(),
    "logical_not": lambda x: x.round().logical_not(),
    "eq": lambda x: x.round() == 1,
    "ne": lambda x: x.round() != 1,
    "layer_norm": lambda x: F.layer_norm(x, (6,)),
    "rms_norm": lambda x: F.rms_norm(x, (6,)),
    "group_norm": lambda x: F.group_norm(x, 1),
    "batch_norm": lambda x: F.batch_norm(x, None, None, training=True),
    "local_response_norm": lambda x: F.local_response_norm(x, 2),
    "feature_dropout": lambda x: torch.feature_dropout(x, 0.5, True),
    "multi_head_attention_forward": lambda x: _module(nn.MultiheadAttention(6, 2), x, x, x)[0],
    "scaled_dot_product_attention": lambda x: F.scaled_dot_product_attention(x, x, x),
    "embedding": lambda x: F.embedding(x.long().abs() % 3, _of(3, 2)),
    "embedding_bag": lambda x: F.embedding_bag(x[0].long().abs() % 3, _of(3, 2)),
}
DIM = {
    "softmax",
    "softmin",
    "log_softmax",
    "sum",
    "mean",
    "nansum",
    "nanmean",
    "cumsum",
    "amax",
    "amin",
    "logsumexp",
    "std",
    "var",
    "argmax",
    "argmin",
}
POOLED = {"max_pool": 2, "avg_pool": 2, "adaptive_max_pool": 3, "adaptive_avg_pool": 3}
MASK = torch.rand(SHAPE, generator=torch.Generator().manual_seed(3)) > 0.5
Function = Callable[[Tensor], Any]


def _of(*shape: int) -> Tensor:
    return torch.randn(shape, dtype=torch.float64, generator=torch.Generator().manual_seed(sum(shape)))


def _module(module: nn.Module, *given: Tensor) -> Any:
    torch.manual_seed(0)
    return module.double().eval()(*given)


@functools.cache
def _torch(name: str) -> Callable[..., Any]:
    """Torch's function of that name, as a tape may name it."""
    ours = {full: f for full, f in table().items() if Call(full, ()).name == name}
    best = min(
        ours, key=lambda full: (not full.startswith("torch.nn.functional."), full.count("."), full.endswith("_"))
    )
    return ours[best]


def function(op: Op) -> Function:
    """The call as a function of its first tensor."""
    name = op.name
    if name in EVERYTHING:
        return EVERYTHING[name]
    if op.kind == "joining":
        return lambda x: _torch(name)([x, _of(*x.shape)])
    if op.kind in ("arithmetic", "step", "function") and name not in ("neg", "rsqrt") and len(_arity(name)) > 1:
        return lambda x: _torch(name)(x, _of(*SHAPE)[: len(x)] if len(x) != 4 or x.dim() == 3 else _of(*x.shape))
    if op.kind == "pooling":
        size = next(n for start, n in POOLED.items() if name.startswith(start))
        return lambda x: _torch(name)(
            x if name.endswith("1d") else x[None] if name.endswith("2d") else x[None, None], size
        )
    if op.kind == "dropout":
        return lambda x: _torch(name)(x, 0.5, True)
    if op.kind in ("layer", "product"):
        return lambda x: _torch(name)(*_operands(op, x))
    if op.kind == "recurrent":
        return functools.partial(_recurrent, name)
    if op.kind == "loss":
        return lambda x: _torch(name)(*_losses(op, x)[:2], *[_of(4, 5).abs()] * (name == "gaussian_nll_loss"))
    return (lambda x: _torch(name)(x, dim=1)) if name in DIM else _torch(name)


def _arity(name: str) -> tuple[str, ...]:
    return (
        ("x", "y")
        if name in {"add", "sub", "mul", "div", "maximum", "minimum", "eq", "ne", "gt", "ge", "lt", "le"}
        else ("x",)
    )


def _operands(op: Op, x: Tensor) -> tuple[Tensor, ...]:
    match op.name:
        case "linear":
            return x, _of(3, 6), _of(3)
        case "bilinear":
            return x, _of(4, 5, 2), _of(3, 6, 2), _of(3)
        case "matmul" | "rmatmul":
            return x, _of(6, 2) if op.name == "matmul" else _of(3, 5)
        case "mm":
            return x[0], _of(6, 2)
        case "bmm":
            return x, _of(4, 6, 2)
        case "addmm":
            return x[0], _of(5, 3), _of(3, 6)
        case "baddbmm":
            return x, _of(4, 5, 3), _of(4, 3, 6)
    spread = x.reshape(4, 5, *([1] * (int(op.name[-2]) - 1)), 6)
    kernel = (1,) * (int(op.name[-2]) - 1) + (3,)
    return spread, _of(5, 3, *kernel) if "transpose" in op.name else _of(3, 5, *kernel), _of(3)


def _recurrent(name: str, x: Tensor) -> Tensor:
    cell = name.endswith("_cell")
    kind, _, bend = name.removesuffix("_cell").partition("_")
    made = getattr(nn, kind.upper() + ("Cell" if cell else ""))(6, 3, **({"nonlinearity": bend} if bend else {}))
    out = _module(made, x[:, 0] if cell else x)
    return out[0] if isinstance(out, tuple) else out


def _losses(op: Op, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """An output on the loss's scale, a target, and the output that is right for that target."""
    rows = x.reshape(len(x), -1)[:, :5]
    best = rows.argmax(1)
    hot = F.one_hot(best, 5).double()
    signed = 2 * hot - 1
    match op.scale:
        case "probability":
            return torch.sigmoid(rows), hot, hot
        case "logit":
            return rows, best if op.classes else signed if op.name == "soft_margin_loss" else hot, 50 * signed
        case "log-probability":
            made = torch.log_softmax(rows, 1)
            return (
                made,
                best if op.classes else torch.softmax(-rows, 1),
                made if op.classes else torch.log_softmax(-rows, 1),
            )
    return rows, -rows, -rows


def inputs(op: Op, size: float = 1.0) -> Tensor:
    """A tensor that the call is defined for."""
    x = torch.randn(SHAPE, dtype=torch.float64) * size
    if op.name in WHOLE:
        return x.abs().mul(3).round().clamp(max=11)
    return x.abs() + 0.1 if op.name in POSITIVE else x


def run(call: Function, x: Tensor) -> Tensor:
    """The call's result, the same random numbers each time; all parts of it in one where there are several."""
    torch.manual_seed(0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        out = call(x)
    parts = [out] if isinstance(out, Tensor) else list(out)
    return parts[0] if len(parts) == 1 else torch.cat([p.flatten() for p in parts])


def each(test: Callable[[Op], object] = lambda op: True) -> Any:
    torch.manual_seed(1)
    return pytest.mark.parametrize(
        "op", [op for op in ops.TABLE if test(op) and op.name != "nll_loss_nd"], ids=lambda o: o.name
    )


def changed(op: Op) -> Iterator[tuple[tuple[int, ...], Tensor]]:
    """Places of the argument, and which entries of the result another number there changes."""
    call, x = function(op), inputs(op)
    before = run(call, x)
    for place in ((0, 0, 0), (1, 3, 2), (3, 4, 5), (2, 1, 4)):
        other = x.clone()
        other[place] += 1.0
        yield place, ~(run(call, other).double() - before.double()).isclose(torch.zeros(()).double(), atol=1e-12)


def test_each_name_stands_once() -> None:
    every = [name for op in ops.TABLE for name in op.names]
    assert len(every) == len(set(every))


@each()
def test_its_names_are_torchs(op: Op) -> None:
    known = {Call(name, ()).name for name in table()}
    assert set(op.names) <= known


@each(lambda op: op.modules)
def test_its_modules_make_this_call(op: Op) -> None:
    assert all(op.name in _calls_of(name) for name in op.modules)


class Names(TorchFunctionMode):
    def __init__(self) -> None:
        super().__init__()
        self.seen: list[str] = []

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.seen.append(Call(resolve_name(func) or "", ()).name)
        return func(*args, **(kwargs or {}))


GIVEN: dict[str, tuple[tuple[Any, ...], tuple[Tensor, ...]]] = {
    "Bilinear": ((6, 6, 2), (torch.randn(5, 6), torch.randn(5, 6))),
    "LayerNorm": ((6,), (torch.randn(5, 6),)),
    "GroupNorm": ((1, 4), (torch.randn(5, 4, 3),)),
    "Threshold": ((0, 0), (torch.randn(5),)),
    "RMSNorm": ((6,), (torch.randn(5, 6),)),
    "LocalResponseNorm": ((2,), (torch.randn(5, 6, 3),)),
    "Softmax2d": ((), (torch.randn(1, 2, 3, 3),)),
    "MultiheadAttention": ((4, 1), (torch.randn(5, 1, 4),) * 3),
    "GaussianNLLLoss": ((), (torch.randn(5), torch.randn(5), torch.ones(5))),
    "GLU": ((), (torch.randn(5, 4),)),
    "LazyLinear": ((3,), (torch.randn(5, 4),)),
}


def _calls_of(name: str) -> list[str]:
    kind = getattr(nn, name)
    arguments, given = GIVEN.get(name, ((), ()))
    if name.endswith("Loss") and not given:
        scale = next(op for op in ops.TABLE if name in op.modules)
        given = _losses(scale, torch.randn(SHAPE).double())[:2]
    elif not given:
        spatial = next((int(d) for d in "123" if f"{d}d" in name), 1)
        conv, norm, cell = "Conv" in name, "Norm" in name, name.endswith(("LSTM", "GRU", "RNN", "Cell"))
        arguments = (
            ((3, 1) if "Lazy" in name else (4, 3, 1))
            if conv
            else (4,)
            if norm
            else (4, 3)
            if cell or name == "Linear"
            else ()
        )
        given = (torch.randn(2, 4, *[5] * spatial) if conv or norm or "Dropout" in name else torch.randn(2, 4),)
    with Names() as names, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        kind(*arguments)(*given)
    return names.seen


@each(lambda op: op.kind != "joining" and op.name not in ("item", "tolist"))
def test_it_hands_on_what_it_says(op: Op) -> None:
    x = inputs(op)
    out = run(function(op), x).double()
    had, left = x.to(run(function(op), x).dtype).double().flatten().sort().values, out.flatten().sort().values
    if op.hands_on == "all" and op.name not in ("squeeze", "t", "T"):
        assert torch.equal(had, left)
    elif op.hands_on in ("all", "some"):
        assert torch.isin(left, had).all()
    elif op.hands_on == "mean":
        torch.manual_seed(0)
        many = torch.stack([function(op)(x) for _ in range(1500)]).mean(0)
        assert (many - x).abs().max() < 0.4
    else:
        assert op.kind in ("pooling", "function", "reduction", "activation", "step") or not torch.isin(left, had).all()


@each(lambda op: op.kind not in ("lookup", "random") and op.name not in ("item", "requires_grad", "one_hot", "baddbmm"))
def test_it_works_entry_by_entry_where_it_says_so(op: Op) -> None:
    alone = [m.shape == SHAPE and (m.sum() == m[place]) for place, m in changed(op)]
    assert all(alone) if op.elementwise else not all(alone)


AXES = {"dim": {1}, "last": {2}, "row": {1, 2}, "channel": {0, 2}, "all": {0, 1, 2}}
FLAT = {"mm", "lstm_cell", "gru_cell", "rnn_tanh_cell", "rnn_relu_cell"}
"""Calls on (rows, features)."""


@each(lambda op: op.mixes and op.mixes != "all" and op.name not in FLAT and op.kind != "reduction")
def test_it_mixes_the_axes_it_says(op: Op) -> None:
    seen: set[int] = set()
    for place, moved in changed(op):
        where = moved.reshape(4, *moved.shape[1:2], -1) if moved.dim() > 3 else moved
        assert where.any() or op.name == "gumbel_softmax"
        seen |= {a for a in range(3) if where.shape[a] != SHAPE[a] or (where.nonzero()[:, a] != place[a]).any()}
    assert seen == AXES[op.mixes]


@each(lambda op: op.kind == "reduction")
def test_a_reduction_mixes_the_axis_named_by_dim(op: Op) -> None:
    for place, moved in changed(op):
        rest = (place[0], place[2])
        entries = moved.nonzero()
        assert all((int(e[0]), int(e[-1])) == rest for e in entries)


ORDERED = [
    op for op in ops.TABLE if op.kind in ("activation", "arithmetic", "function", "reduction", "pooling", "step")
]


@pytest.mark.parametrize(
    "op", [op for op in ORDERED if op.name not in ("one_hot", "gumbel_softmax")], ids=lambda o: o.name
)
def test_it_is_monotone_where_it_says_so(op: Op) -> None:
    call, rises, falls = function(op), False, False
    for trial in range(60):
        torch.manual_seed(trial)
        x = inputs(op, size=4.0 if trial % 2 else 1.0)
        more = x + torch.rand(SHAPE) * (torch.rand(SHAPE) < 0.2)
        step = run(call, more).double() - run(call, x).double()
        rises, falls = rises or bool((step > 1e-12).any()), falls or bool((step < -1e-12).any())
    assert (rises, falls) == {1: (True, False), -1: (False, True), 0: (True, True)}[op.monotone]


@each(lambda op: op.bounded and op.name not in POSITIVE)
def test_its_range_holds_and_is_not_wider_than_need_be(op: Op) -> None:
    call = function(op)
    made = torch.cat([run(call, x).flatten() for s in (0.1, 1, 10) for x in [inputs(op, s)] for _ in range(30)])
    low, high = op.range
    assert low <= made.min() and made.max() <= high
    small = 0.05 * (high - low if ops.INF not in (high, -low) else 1)
    if op.kind not in ("recurrent", "reduction"):
        assert low == -ops.INF or made.min() < low + small
        assert high == ops.INF or made.max() > high - small


@each(
    lambda op: (
        op.kind
        in ("shape", "choice", "arithmetic", "layer", "product", "pooling", "reduction", "activation", "function")
    )
)
def test_it_is_linear_in_its_first_argument_where_it_says_so(op: Op) -> None:
    if op.name in (*WHOLE, "item", "tolist", "numpy", "detach", "data", "half", "bfloat16", "float", "nan_to_num"):
        return
    call, x, y = function(op), inputs(op), inputs(op)
    between = run(call, 0.3 * x + 0.7 * y)
    same = torch.allclose(between.double(), 0.3 * run(call, x).double() + 0.7 * run(call, y).double(), atol=1e-9)
    assert same == (0 in op.linear) or op.name in ("masked_fill", "prelu", "leaky_relu", "rrelu")


@each(lambda op: max(op.linear, default=0) > 0 and op.kind != "arithmetic")
def test_it_is_linear_in_its_other_arguments_too(op: Op) -> None:
    given = _operands(op, inputs(op))
    for at in op.linear:
        other = torch.randn_like(given[at])
        with_ = lambda t, at=at: _torch(op.name)(*given[:at], t, *given[at + 1 :])
        assert torch.allclose(
            with_(0.3 * given[at] + 0.7 * other), 0.3 * with_(given[at]) + 0.7 * with_(other), atol=1e-9
        )


@each(lambda op: op.gives)
def test_what_it_gives_is_a_probability(op: Op) -> None:
    made = run(function(op), inputs(op))
    chance = made.exp() if op.gives == "log-probability" else made
    assert ((chance >= 0) & (chance <= 1)).all()
    if op.mixes == "dim":
        assert torch.allclose(chance.sum(1), torch.ones(()).double())


@each(lambda op: op.kind in ("layer", "recurrent") and op.name != "bilinear")
def test_the_features_of_a_layers_input_stand_on_its_axis(op: Op) -> None:
    if op.kind == "recurrent":
        with pytest.raises(RuntimeError, match=r"size|expected"):
            run(function(op), torch.randn(4, 5, 7).double())
        return
    spread, weight, _ = _operands(op, inputs(op))
    assert spread.shape[op.features] == weight.shape[0 if "transpose" in op.name else 1]


@each()
def test_it_is_random_where_it_says_so(op: Op) -> None:
    call, x = function(op), inputs(op)
    first, second = (call(x), call(x)) if op.stochastic else (run(call, x), run(call, x))
    assert torch.equal(first, second) != op.stochastic


@each(
    lambda op: (
        op.kind not in ("lookup", "random") and op.name not in ("one_hot", "item", "tolist", "numpy", "requires_grad")
    )
)
def test_it_cuts_the_gradient_where_it_says_so(op: Op) -> None:
    x = inputs(op).requires_grad_()
    out = run(function(op), x)
    if op.cuts == "detached" or not out.is_floating_point():
        assert op.cuts
        assert not out.requires_grad
        return
    (gradient,) = torch.autograd.grad(out.double().square().sum(), x, allow_unused=True)
    assert (gradient is None or not gradient.any()) == (op.cuts == "flat")


LOSS = each(lambda op: op.kind == "loss" and op.name != "gaussian_nll_loss")


@LOSS
def test_a_loss_is_least_at_the_right_answer_on_its_scale(op: Op) -> None:
    made, target, right = _losses(op, torch.randn(SHAPE).double())
    if op.name == "poisson_nll_loss":
        target, right = target.exp(), right  # it takes the logarithm of the rate by default
    at = lambda output: float(_torch(op.name)(output, target))
    if op.classes and op.scale == "log-probability":
        assert at(made) > at(torch.log_softmax(50 * made, 1))
    else:
        assert at(right) < at(made)
        assert at(right) <= at(0.9 * right + 0.1 * made)


@LOSS
def test_the_distances_are_zero_at_the_target(op: Op) -> None:
    x = torch.rand(4, 5).double()
    target = torch.tensor([0, 2, 4, 1]) if op.classes else x
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert (float(_torch(op.name)(x, target)) == 0) == (op.name in ops.DISTANCES)


@LOSS
def test_a_loss_is_the_mean_over_rows_by_default(op: Op) -> None:
    made, target, _ = _losses(op, torch.randn(SHAPE).double())
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        once, twice = (_torch(op.name)(torch.cat([made] * n), torch.cat([target] * n)) for n in (1, 2))
    assert torch.allclose(once, twice)


@each(lambda op: op.applies)
def test_a_loss_applies_its_own_activation(op: Op) -> None:
    made, target, _ = _losses(op, torch.randn(SHAPE).double())
    zero_one = (target + 1) / 2 if op.name == "soft_margin_loss" else target
    plain = (
        F.nll_loss(made.softmax(1).log(), target) if op.classes else F.binary_cross_entropy(made.sigmoid(), zero_one)
    )
    assert ops.of(op.applies).kind == "activation"
    assert torch.allclose(_torch(op.name)(made, target), plain)


@each(lambda op: op.kind == "loss")
def test_a_loss_takes_class_numbers_where_it_says_so(op: Op) -> None:
    made, _, _ = _losses(op, torch.randn(SHAPE).double())
    numbers = torch.tensor([0, 2, 4, 1])
    try:
        _torch(op.name)(made, numbers)
    except (RuntimeError, ValueError, TypeError):
        assert not op.classes
    else:
        assert op.classes


def test_a_call_that_is_not_in_the_table_has_no_known_facts() -> None:
    assert ops.of("somebodys_own") == Op("somebodys_own")


def test_activations_are_found_by_their_names() -> None:
    assert {"relu", "gelu", "sigmoid", "expit", "softmax", "tanh", "prelu"} <= ops.ACTIVATIONS
    assert not ops.ACTIVATIONS & {"linear", "dropout", "exp", "clamp", "batch_norm"}
