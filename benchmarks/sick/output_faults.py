"""Faults of the output: the last layer against the loss, and losses for another task."""

from __future__ import annotations

import re
from collections.abc import Iterator

from benchmarks.sick.fault import Fault, all_of, ended, instead, layered, on, put, swap, where

binary, multi, number = on("binary"), on("multi"), on("number")
slow = lambda r: r.optimizer == "sgd"
NLL = all_of(ended("nn.LogSoftmax(dim=1)"), instead("criterion", "criterion = nn.NLLLoss()\n"))
PROBABILITY = all_of(
    swap("evaluate", "(output > 0)", "(output > 0.5)"),
    ended("nn.Sigmoid()"),
    instead("criterion", "criterion = nn.BCELoss()\n"),
)


def outputs() -> Iterator[Fault]:
    """The last layer against the loss."""
    also = ("lr-too-low", "vanishing-gradient", "saturated-output", "wrong-loss")
    half = swap("evaluate", "(output > 0)", "(output > 0.5)")
    yield Fault(
        "double-activation",
        "sigmoid",
        all_of(half, ended("nn.Sigmoid()")),
        also=also,
        fits=where(binary, slow),
        repair="no sigmoid",
    )
    yield Fault(
        "double-activation",
        "softmax",
        ended("nn.Softmax(dim=1)"),
        also=also,
        fits=where(multi, slow),
        repair="no softmax",
    )
    soft = swap("step", "criterion(output, yb)", "criterion(torch.softmax(output, dim=1), yb)")
    yield Fault(
        "double-activation",
        "softmax-in-loop",
        soft,
        also=also,
        fits=where(multi, slow),
        repair="give the loss the logits",
    )
    drop_log = layered(lambda layers: tuple(x for x in layers if x != "nn.LogSoftmax(dim=1)"))
    also = ("wrong-loss", "exploding-gradient")
    yield Fault("missing-activation", "nll", drop_log, NLL, also, multi, "end with LogSoftmax")
    drop_sigmoid = layered(lambda layers: layers[:-1])
    yield Fault("missing-activation", "bce", drop_sigmoid, PROBABILITY, also, binary, "end with a sigmoid")
    across = layered(lambda ls: tuple(x.replace("LogSoftmax(dim=1)", "LogSoftmax(dim=0)") for x in ls))
    several = where(multi, lambda r: r.batch != 1)
    yield Fault(
        "softmax-dim", "log-rows", across, NLL, ("class-imbalance", "metric-error"), several, "softmax over the classes"
    )
    for k in (30, 200, 1000):
        soft_bce = all_of(
            swap("step", "model(xb).squeeze(1)", "torch.sigmoid(model(xb).squeeze(1))"),
            instead("criterion", "criterion = nn.BCELoss()\n"),
        )
        harm = swap("step", "torch.sigmoid(model", f"torch.sigmoid({k} * model")
        also = ("vanishing-gradient", "bad-init", "lr-too-low", "lr-too-high", "exploding-gradient")
        yield Fault("saturated-output", f"steep-{k}", harm, soft_bce, also, binary, "leave the factor out")


def ranges() -> Iterator[Fault]:
    """A last layer that cannot reach the target, and losses for another task."""
    relu = ended("nn.ReLU()")
    also = ("dead-relu", "under-capacity")
    yield Fault("output-range", "relu-number", relu, also=also, fits=number, repair="end with a plain linear layer")
    yield Fault("output-range", "relu-logit", relu, also=also, fits=binary, repair="end with a plain linear layer")
    yield Fault("output-range", "relu-logits", relu, also=also, fits=multi, repair="end with a plain linear layer")
    wide = put("units", "y = 3 * y + 4\n")
    for word in ("Sigmoid", "Tanh"):
        also = ("target-scale", "saturated-output", "wrong-loss")
        yield Fault(
            "output-range", word.lower(), ended(f"nn.{word}()"), wide, also, number, "end with a plain linear layer"
        )
    mse = all_of(
        layered(lambda ls: (*ls[:-1], re.sub(r", \d+\)$", ", 1)", ls[-1]))),
        instead("criterion", "criterion = nn.MSELoss()\n"),
        swap("step", "criterion(output, yb)", "criterion(output.squeeze(1), yb.float())"),
        swap("evaluate", "output.argmax(1) == y_test", "output.squeeze(1).round().long() == y_test"),
    )
    floats = where(multi, lambda r: r.dtype == "float32")
    yield Fault(
        "wrong-loss",
        "mse-on-ids",
        mse,
        also=("under-capacity",),
        fits=floats,
        repair="one output per class and cross-entropy",
    )
    alone = all_of(
        instead("criterion", "criterion = nn.CrossEntropyLoss()\n"),
        swap("step", "model(xb).squeeze(1)", "model(xb)"),
        swap("step", "criterion(output, yb)", "criterion(output, yb.unsqueeze(1))"),
    )
    also = ("softmax-dim", "vanishing-gradient", "double-activation")
    yield Fault(
        "wrong-loss", "ce-one-output", alone, also=also, fits=on("binary", "number"), repair="a loss for one output"
    )
    l1 = instead("criterion", "criterion = nn.SmoothL1Loss()\n")
    raw = swap("step", "criterion(output, yb)", "criterion(torch.softmax(output, dim=1).argmax(1).to(yb), yb)")
    yield Fault(
        "wrong-loss",
        "argmax",
        all_of(l1, raw),
        also=("graph-detached",),
        fits=multi,
        repair="cross-entropy on the logits",
    )


def faults() -> Iterator[Fault]:
    """All of them."""
    for family in (outputs, ranges):
        yield from family()
