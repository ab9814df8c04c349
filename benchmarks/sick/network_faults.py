"""Faults of the network: its layers, its first weights, what it registers."""

from __future__ import annotations

import re
from collections.abc import Iterator

from benchmarks.sick.fault import Fault, all_of, ended, in_text, instead, layered, modules, on, put, swap, where
from benchmarks.sick.recipe import Recipe, Script

table = on("table")
EACH = "for m in model.modules():\n    if isinstance(m, (nn.Linear, nn.Conv2d)):\n"


def activated(layers: tuple[str, ...], after: str) -> tuple[str, ...]:
    """The layers with one more after each hidden activation."""
    hidden = {"nn.ReLU()", "nn.Tanh()", "nn.GELU()", "nn.Sigmoid()"}
    return tuple(part for x in layers for part in ((x, after) if x in hidden else (x,)))


def layers() -> Iterator[Fault]:
    """What stands between the first and the last layer."""
    acts = {"nn.ReLU()", "nn.Tanh()", "nn.GELU()", "nn.Sigmoid()"}
    bare = layered(lambda ls: tuple(x for x in ls if x not in acts))
    yield Fault(
        "no-nonlinearity",
        "none",
        bare,
        also=("under-capacity",),
        fits=table,
        repair="put activations between the layers",
    )
    for width in (1, 2):
        narrow = layered(lambda ls, w=width: tuple(_narrowed(ls, w)))
        yield Fault(
            "under-capacity",
            f"width-{width}",
            narrow,
            also=("lr-too-low", "dead-relu"),
            fits=table,
            repair="wider layers",
        )
    for p in (0.85, 0.95):
        some = layered(lambda ls, p=p: activated(ls, f"nn.Dropout({p})"))
        fits = where(modules, on("table", "image"))
        yield Fault("excess-dropout", f"hidden-{p}", some, also=("under-capacity",), fits=fits, repair="less dropout")
    last = ended("nn.Dropout(0.8)")
    yield Fault(
        "excess-dropout", "logits", last, also=("under-capacity",), fits=modules, repair="no dropout on the output"
    )
    deep = layered(_deep_sigmoid)
    also = ("lr-too-low", "saturated-hidden", "bad-init")
    yield Fault("vanishing-gradient", "ten-sigmoids", deep, also=also, fits=table, repair="fewer layers, or ReLU")
    for factor in (30, 200):
        steep = in_text("torch.tanh(", f"torch.tanh({factor} * ")
        fits = where(table, lambda r: r.activation == "Tanh" and r.style != "sequential" and r.depth >= 2)
        also = ("vanishing-gradient", "bad-init", "lr-too-low", "lr-too-high", "exploding-gradient")
        yield Fault("saturated-hidden", f"steep-{factor}", steep, also=also, fits=fits, repair="no factor inside tanh")
    cut = layered(lambda ls: (*ls[:-1], "DETACH", ls[-1]))
    also = ("frozen-params", "under-capacity", "vanishing-gradient")
    yield Fault("graph-detached", "in-forward", cut, also=also, fits=lambda r: r.style == "class", repair="no detach")


def _narrowed(ls: tuple[str, ...], width: int) -> Iterator[str]:
    for i, layer in enumerate(ls):
        layer = layer if i == 0 else re.sub(r"Linear\(\d+,", f"Linear({width},", layer)
        yield layer if i == len(ls) - 1 else re.sub(r", \d+\)", f", {width})", layer)


def _deep_sigmoid(ls: tuple[str, ...]) -> tuple[str, ...]:
    width = re.search(r", (\d+)\)", ls[0])[1]  # type: ignore[index]
    more = (f"nn.Linear({width}, {width})", "nn.Sigmoid()") * 9
    return (ls[0], "nn.Sigmoid()", *more, ls[-1])


def norms() -> Iterator[Fault]:
    """Batch normalisation used wrongly."""

    def normed(momentum: str) -> object:
        def change(ls: tuple[str, ...]) -> tuple[str, ...]:
            wide = re.search(r", (\d+)[,)]", ls[1] if "Unflatten" in ls[0] else ls[0])[1]  # type: ignore[index]
            norm = f"nn.BatchNorm{'2d' if 'Unflatten' in ls[0] else '1d'}({wide}{momentum})"
            at = 2 if "Unflatten" in ls[0] else 1
            return (*ls[:at], norm, *ls[at:])

        return layered(change)

    fits = where(modules, on("table", "image"), lambda r: r.batch not in (1,))
    shifted = put("units", "x = 3 * x + 6\n")
    base = all_of(shifted, normed(""), instead("prepare", "x_train, x_test = x_train / 2, x_test / 2\n"))  # type: ignore[arg-type]
    also = ("mode-error", "input-offset", "input-scale")
    for shade, momentum in (("never-updated", "0.0"), ("too-slow", "0.0005")):
        harm = layered(
            lambda ls, m=momentum: tuple(re.sub(r"(BatchNorm\dd\(\d+)\)", rf"\1, momentum={m})", x) for x in ls)
        )
        yield Fault("batchnorm-misuse", shade, harm, base, also, fits, "leave the momentum at its default")  # type: ignore[arg-type]
    one = swap("loop", ".split(64)", ".split(1)")
    fits_64 = where(fits, lambda r: r.batch == 64 and r.loop == "slices" and r.about.input == "table")
    also = ("mode-error",)
    yield Fault("batchnorm-misuse", "one-row", one, base, also, fits_64, "a batch of more than one row")  # type: ignore[arg-type]


def weights() -> Iterator[Fault]:
    """First weights that cannot be left."""
    also = ("saturated-hidden", "vanishing-gradient", "dead-relu", "under-capacity", "exploding-gradient", "lr-too-low")
    for shade, line in (
        ("zeros", "nn.init.zeros_(m.weight)"),
        ("ones", "nn.init.ones_(m.weight)"),
        ("huge", "nn.init.normal_(m.weight, std=10.0)"),
        ("uniform", "nn.init.uniform_(m.weight, 0, 1)"),
        ("tiny", "nn.init.normal_(m.weight, std=1e-5)"),
    ):
        init = put("init", f"{EACH}        {line}\n        nn.init.zeros_(m.bias)\n")
        fits = where(modules, on("table", "image"))
        yield Fault("bad-init", shade, init, also=also, fits=fits, repair="the default initialisation")
    for shade, old, new in (
        ("zeros-by-hand", "torch.randn(", "torch.zeros("),
        ("ones-by-hand", "torch.randn(", "torch.ones("),
    ):
        fits = where(table, lambda r: r.style == "functional")
        yield Fault(
            "bad-init", shade, in_text(old, new), also=also, fits=fits, repair="random weights, scaled by the fan-in"
        )
    for bias in (-3.0, -12.0):
        line = f"{EACH}        nn.init.constant_(m.bias, {bias})\n"
        fits = where(modules, on("table", "image"), lambda r: r.activation == "ReLU" and r.depth >= 2)
        also_dead = ("bad-init", "vanishing-gradient")
        yield Fault("dead-relu", f"bias{bias:g}", put("init", line), also=also_dead, fits=fits, repair="biases at zero")


def registers() -> Iterator[Fault]:
    """Layers the module does not know of."""
    also = ("optimizer-params", "under-capacity", "frozen-params")
    deep = lambda r: r.style == "class" and r.about.input == "table" and 2 <= r.depth <= 4
    sound = lambda script: script.with_(build=_listed(script, "nn.ModuleList([", "])"))
    listed = lambda script: script.with_(build=_listed(script, "[", "]"))
    keyed = lambda script: script.with_(build=_listed(script, "{k: layer for k, layer in enumerate([", "])}"))
    born = lambda script: script.with_(build=_in_forward(script))
    for shade, harm, repair in (
        ("list", listed, "nn.ModuleList"),
        ("dict", keyed, "nn.ModuleList"),
        ("in-forward", born, "make the layers in __init__"),
    ):
        yield Fault("unregistered-params", shade, harm, sound, also, deep, repair)


def _listed(script: Script, opening: str, closing: str) -> str:
    recipe: Recipe = script.recipe
    linears = [x for x in script.layers if "Linear" in x]
    hidden = "".join(f"            {x},\n" for x in linears[:-1])
    act = {"ReLU": "torch.relu", "Tanh": "torch.tanh", "GELU": "nn.functional.gelu", "Sigmoid": "torch.sigmoid"}
    cast = ".double()" if recipe.dtype == "float64" else ""
    if cast and "ModuleList" not in opening:
        linears = [x.replace(")", ", dtype=torch.float64)") for x in linears]
        hidden = "".join(f"            {x},\n" for x in linears[:-1])
    return (
        "class Net(nn.Module):\n    def __init__(self):\n        super().__init__()\n"
        f"        self.hidden = {opening}\n{hidden}        {closing}\n        self.last = {linears[-1]}\n\n"
        "    def forward(self, x):\n        for i in range(len(self.hidden)):\n"
        f"            x = {act[recipe.activation]}(self.hidden[i](x))\n        return self.last(x)\n\n"
        f"model = Net(){cast}\n"
    )


def _in_forward(script: Script) -> str:
    text = _listed(script, "nn.ModuleList([", "])")
    first = next(x for x in script.layers if "Linear" in x)
    typed = first.replace(")", ", dtype=torch.float64)") if script.recipe.dtype == "float64" else first
    text = text.replace(f"            {first},\n", "")
    act = re.search(r"x = ([\w.]+)\(self\.hidden", text)[1]  # type: ignore[index]
    return text.replace("    def forward(self, x):\n", f"    def forward(self, x):\n        x = {act}({typed}(x))\n")


def faults() -> Iterator[Fault]:
    """All of them."""
    for family in (layers, norms, weights, registers):
        yield from family()
