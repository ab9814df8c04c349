"""Mutation operators: each makes one mistake in the text of a training script, where the script offers the place.

After DeepCrime (Humbatova, Jahangirova, Tonella 2021: labels, data, batch size, learning rate, activations, weights,
optimizer, loss, regularisation), the taxonomies of Humbatova et al. 2020 and Islam et al. 2019 (missing zero_grad,
wrong mode, wrong axis, double softmax), and the silent errors of TrainCheck (Jiang et al. 2025: weights that are never
updated, a graph that is cut).
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from benchmarks.field.text import Splice, Text, called, keyword

OPTIMIZERS = ("SGD", "Adam", "AdamW", "RMSprop", "Adadelta", "Adagrad", "NAdam")
CROSS_ENTROPY = ("cross_entropy", "CrossEntropyLoss")
RELUS = ("relu", "ReLU", "leaky_relu", "LeakyReLU", "gelu", "GELU", "elu", "ELU", "tanh", "Tanh")
MAKERS = ("ReLU", "LeakyReLU", "GELU", "ELU", "Tanh")
"""Of these, the ones that make a layer."""
SOFTMAXES = ("softmax", "log_softmax", "Softmax", "LogSoftmax")


@dataclass(frozen=True)
class Mutant:
    """A program with one mistake."""

    operator: str
    faults: tuple[str, ...]
    """The names under which the mistake may be reported."""
    text: str
    lines: tuple[int, ...]
    """The lines that were changed."""


@dataclass(frozen=True)
class Operator:
    """A kind of mistake."""

    name: str
    faults: tuple[str, ...]
    edit: Callable[[Text], Iterable[Splice]]
    """The characters to replace; none where the text has no place for this mistake."""

    def mutant(self, text: str) -> Mutant | None:
        """The text with this mistake; None where it cannot be made."""
        page = Text(text)
        splices = list(self.edit(page))
        changed = page.changed(splices)
        lines = tuple(sorted({page.line(splice.start) for splice in splices}))
        return Mutant(self.name, self.faults, changed, lines) if changed != text else None


# -- the training step ------------------------------------------------------------------------------------------------


def _without(*names: str) -> Callable[[Text], Iterator[Splice]]:
    """Calls of a method without a value that is used, taken out."""

    def edit(page: Text) -> Iterator[Splice]:
        for call in page.calls(*names):
            if isinstance(page.statement(call), ast.Expr) and "sched" not in page.code(call.func):
                yield page.instead(page.statement(call), "pass")

    return edit


def _stepped_early(page: Text) -> Iterator[Splice]:
    for back in page.calls("backward"):
        step = next((c for c in page.calls("step") if page.span(c) > page.span(back)), None)
        if step is not None and page.scope(step) is page.scope(back):
            yield page.instead(page.statement(back), page.code(page.statement(step)))
            yield page.instead(page.statement(step), page.code(page.statement(back)))
            return


def _ascent(page: Text) -> Iterator[Splice]:
    for call in page.calls("backward"):
        if isinstance(call.func, ast.Attribute) and not call.args:
            yield page.instead(call.func.value, f"(-{page.code(call.func.value)})")
        elif call.args:
            yield page.instead(call.args[0], f"-{page.code(call.args[0])}")


def _evaluated(page: Text) -> Iterator[Splice]:
    for call in page.calls("train"):
        if isinstance(call.func, ast.Attribute) and not call.args and isinstance(page.statement(call), ast.Expr):
            yield page.instead(call, f"{page.code(call.func.value)}.eval()")


def _never_evaluated(page: Text) -> Iterator[Splice]:
    return _without("eval")(page)


# -- what enters and what is aimed at ---------------------------------------------------------------------------------


def _losses(page: Text) -> Iterator[ast.Call]:
    """The calls that make the losses of which a gradient is taken, with prediction and target."""
    for back in page.calls("backward"):
        loss = back.args[0] if back.args else getattr(back.func, "value", None)
        value = page.given(loss) if isinstance(loss, ast.Name) else loss
        calls = [n for n in ast.walk(value) if isinstance(n, ast.Call) and len(n.args) > 1] if value is not None else []
        yield from calls[:1]


def _targets(form: str) -> Callable[[Text], Iterator[Splice]]:
    """The target of a training step replaced by a form of it."""

    def edit(page: Text) -> Iterator[Splice]:
        for loss in _losses(page):
            yield page.instead(loss.args[1], form.format(page.code(loss.args[1])))

    return edit


def _inputs(form: str, everywhere: bool) -> Callable[[Text], Iterator[Splice]]:
    """What the network is given replaced by a form of it, in the training step or wherever it is called."""

    def edit(page: Text) -> Iterator[Splice]:
        for loss in _losses(page):
            made = page.given(loss.args[0]) if isinstance(loss.args[0], ast.Name) else loss.args[0]
            if not isinstance(made, ast.Call) or not made.args:
                continue
            same = [c for c in page.calls(called(made)) if c.args] if everywhere else [made]
            yield from (page.instead(call.args[0], form.format(page.code(call.args[0]))) for call in same)
            return

    return edit


def _argument(name: str, form: str, makers: tuple[str, ...]) -> Callable[[Text], Iterator[Splice]]:
    """A keyword argument replaced by a form of it, or given where it is not."""

    def edit(page: Text) -> Iterator[Splice]:
        for call in page.calls(*makers):
            value = keyword(call, name)
            if value is not None:
                yield page.instead(value, form.format(f"({page.code(value)})"))

    return edit


def _added(argument: str, makers: tuple[str, ...]) -> Callable[[Text], Iterator[Splice]]:
    """A keyword argument given to calls that have none of that name."""

    def edit(page: Text) -> Iterator[Splice]:
        for call in page.calls(*makers):
            if keyword(call, argument.partition("=")[0]) is None and call.args:
                _, end = page.span([*call.args, *(k.value for k in call.keywords)][-1])
                yield Splice(end, end, f", {argument}")

    return edit


def _rate(factor: str) -> Callable[[Text], Iterator[Splice]]:
    def edit(page: Text) -> Iterator[Splice]:
        for call in page.calls(*OPTIMIZERS):
            value = keyword(call, "lr") or (call.args[1] if len(call.args) > 1 else None)
            if value is not None:
                yield page.instead(value, f"({page.code(value)}) * {factor}")

    return edit


# -- the optimizer and its weights ------------------------------------------------------------------------------------


def _plain_descent(page: Text) -> Iterator[Splice]:
    for call in page.calls(*(name for name in OPTIMIZERS if name != "SGD")):
        rate = keyword(call, "lr") or (call.args[1] if len(call.args) > 1 else None)
        if call.args and rate is not None:
            yield page.instead(call, f"torch.optim.SGD({page.code(call.args[0])}, lr={page.code(rate)})")


def _last_layer(page: Text) -> Iterator[Splice]:
    for call in page.calls(*OPTIMIZERS):
        if call.args:
            yield page.instead(call.args[0], f"list({page.code(call.args[0])})[-2:]")


def _first_weights(form: str) -> Callable[[Text], Iterator[Splice]]:
    """A statement about each weight, put before the optimizer is made."""

    def edit(page: Text) -> Iterator[Splice]:
        for call in page.calls(*OPTIMIZERS)[:1]:
            if call.args and page.code(call.args[0]).endswith(".parameters()"):
                loop = f"for weight in {page.code(call.args[0])}: {form}"
                yield page.before(page.statement(call), loop)

    return edit


# -- the network ------------------------------------------------------------------------------------------------------


def _activations(layer: str, function: str) -> Callable[[Text], Iterator[Splice]]:
    """Every activation replaced: by a layer where one is made, by a form of its argument where one is called."""

    def edit(page: Text) -> Iterator[Splice]:
        for call in page.calls(*RELUS):
            if called(call) in MAKERS:
                yield page.instead(call, layer)
            elif call.args:
                yield page.instead(call, function.format(page.code(call.args[0])))
            elif isinstance(call.func, ast.Attribute):
                yield page.instead(call, function.format(page.code(call.func.value)))

    return edit


def _dropout(page: Text) -> Iterator[Splice]:
    for call in page.calls("Dropout", "Dropout1d", "Dropout2d", "dropout"):
        place = 1 if called(call) == "dropout" else 0
        value = keyword(call, "p") or (call.args[place] if len(call.args) > place else None)
        if value is not None:
            yield page.instead(value, "0.97")


def _over_rows(page: Text) -> Iterator[Splice]:
    for call in page.calls(*SOFTMAXES):
        last = keyword(call, "dim") or (call.args[-1] if call.args and called(call) in SOFTMAXES else None)
        if last is not None and page.code(last) in ("1", "-1"):
            yield page.instead(last, "0")


def _normalised_twice(page: Text) -> Iterator[Splice]:
    for loss in _losses(page):
        maker = page.code(loss.func)
        kind = called(loss) if called(loss) in CROSS_ENTROPY else _made(page, maker)
        if kind in CROSS_ENTROPY:
            yield page.instead(loss.args[0], f"{page.code(loss.args[0])}.softmax(-1)")


def _made(page: Text, name: str) -> str:
    """What a name is made by, where it is assigned a call anywhere."""
    made = (n for n in ast.walk(page.tree) if isinstance(n, ast.Assign) and isinstance(n.value, ast.Call))
    return next((called(n.value) for n in made if name in map(page.code, n.targets)), "")


def _likelihood_of_scores(page: Text) -> Iterator[Splice]:
    for call in page.calls(*CROSS_ENTROPY):
        name = "NLLLoss" if called(call) == "CrossEntropyLoss" else "nll_loss"
        text = page.code(call.func)
        yield page.instead(call.func, text.removesuffix(called(call)) + name)


def _cut(page: Text) -> Iterator[Splice]:
    """The value of the middle assignment of a `forward` detached."""
    for node in ast.walk(page.tree):
        if isinstance(node, ast.FunctionDef) and node.name == "forward":
            values = [n.value for n in node.body if isinstance(n, ast.Assign) and isinstance(n.value, ast.Call)]
            if len(values) > 1:
                middle = values[len(values) // 2]
                yield page.instead(middle, f"{page.code(middle)}.detach()")
                return


LABELS = ("label-misaligned", "label-range")
HIGH, LOW = ("lr-too-high", "exploding-gradient"), ("lr-too-low",)
FIRST = ("bad-init", "exploding-gradient", "saturated-hidden", "saturated-output")
INPUTS = ("input-scale", "input-offset", "feature-scale-mix", "preprocess-mismatch")
NOISE = "torch.where(torch.rand(len({0})) < 0.7, {0}[torch.randperm(len({0}))], {0})"
SIGMOID = _activations("nn.Sigmoid()", "torch.sigmoid({})")
OPERATORS = (
    Operator("labels-permuted", LABELS, _targets("{0}[torch.randperm(len({0}))]")),
    Operator("labels-one-class", (*LABELS, "class-imbalance"), _targets("torch.zeros_like({0})")),
    Operator("labels-noise", LABELS, _targets(NOISE)),
    Operator("inputs-times-255", INPUTS, _inputs("({}) * 255", True)),
    Operator("inputs-offset", INPUTS, _inputs("({}) + 100", True)),
    Operator("inputs-constant", ("input-degenerate",), _inputs("({}) * 0", True)),
    Operator("inputs-scaled-in-training", INPUTS, _inputs("({}) * 30", False)),
    Operator("not-shuffled", ("not-shuffled",), _argument("shuffle", "False and {}", ("DataLoader",))),
    Operator("batch-of-two", ("lr-too-high",), _argument("batch_size", "2 if {} else 2", ("DataLoader",))),
    Operator("rate-times-1000", HIGH, _rate("1000")),
    Operator("rate-over-1000", LOW, _rate("0.001")),
    Operator("plain-descent", LOW, _plain_descent),
    Operator("weight-decay", ("weight-decay-too-high",), _added("weight_decay=1.0", OPTIMIZERS)),
    Operator("zero-grad-missing", ("no-zero-grad",), _without("zero_grad")),
    Operator("step-missing", ("no-step",), _without("step")),
    Operator("step-before-backward", ("no-step", "no-zero-grad"), _stepped_early),
    Operator("ascent", ("loss-sign",), _ascent),
    Operator("trained-in-eval-mode", ("mode-error", "batchnorm-misuse"), _evaluated),
    Operator("evaluated-in-train-mode", ("mode-error",), _never_evaluated),
    Operator("last-layer-only", ("optimizer-params", "frozen-params"), _last_layer),
    Operator("first-weights-zero", ("bad-init",), _first_weights("weight.data.zero_()")),
    Operator("first-weights-wide", FIRST, _first_weights("weight.data.normal_(0, 2)")),
    Operator("activation-missing", ("no-nonlinearity",), _activations("nn.Identity()", "{}")),
    Operator("activation-sigmoid", ("vanishing-gradient", "saturated-hidden"), SIGMOID),
    Operator("dropout-excess", ("excess-dropout",), _dropout),
    Operator("softmax-over-rows", ("softmax-dim",), _over_rows),
    Operator("softmax-twice", ("double-activation",), _normalised_twice),
    Operator("nll-of-scores", ("wrong-loss", "missing-activation", "output-range"), _likelihood_of_scores),
    Operator("graph-cut", ("graph-detached", "optimizer-params", "frozen-params"), _cut),
)  # fmt: skip
