"""The same network as different people write it: an nn.Sequential, a class with a forward, or raw tensors.

A network is a list of layers as text (`nn.Linear(4, 32)`, `nn.ReLU()`); three words stand for what is not a layer:
LAST takes the last time step of a recurrent layer, MEAN the mean over real tokens, CHANNEL adds a channel axis.
"""

from __future__ import annotations

import re

INLINE = {
    "nn.ReLU()": "torch.relu({h})",
    "nn.Tanh()": "torch.tanh({h})",
    "nn.Sigmoid()": "torch.sigmoid({h})",
    "nn.GELU()": "nn.functional.gelu({h})",
    "nn.Softmax(dim=1)": "torch.softmax({h}, dim=1)",
    "nn.Softmax(dim=0)": "torch.softmax({h}, dim=0)",
    "nn.LogSoftmax(dim=1)": "torch.log_softmax({h}, dim=1)",
    "nn.LogSoftmax(dim=0)": "torch.log_softmax({h}, dim=0)",
    "nn.Flatten()": "{h}.flatten(1)",
}
WORDS = {
    "LAST": "h = h[0][:, -1]",
    "MEAN": "mask = (x > 0).unsqueeze(-1).to(h.dtype)\nh = (h * mask).sum(1) / mask.sum(1)",
    "PLAIN-MEAN": "h = h.mean(1)",
    "CHANNEL": "h = h.unsqueeze(1)",
    "DETACH": "h = h.detach()",
}


def network(layers: tuple[str, ...], style: str, dtype: str) -> str:
    """The text that defines `model`."""
    if style == "functional":
        return functional(layers, dtype)
    cast = ".double()" if dtype == "float64" else ""
    if style == "class" or any(layer in WORDS for layer in layers):
        return module(layers, cast)
    lines = "".join(f"    {layer},\n" for layer in layers)
    return f"model = nn.Sequential(\n{lines}){cast}\n"


def module(layers: tuple[str, ...], cast: str) -> str:
    """A class with an attribute per layer that is more than a function."""
    made, run = [], []
    for layer in layers:
        if layer in WORDS:
            run += WORDS[layer].splitlines()
        elif layer in INLINE:
            run.append("h = " + INLINE[layer].format(h="h"))
        else:
            name = f"{kind(layer)}{sum(kind(m.partition(' = ')[2]) == kind(layer) for m in made) + 1}"
            made.append(f"{name} = {layer}")
            run.append(f"h = self.{name}(h)")
    init = "".join(f"        self.{m}\n" for m in made)
    forward = "".join(f"        {line}\n" for line in ["h = x", *run])
    forward = re.sub(r"h = x\n +h = ([^\n]*?)\bh\b", r"h = \1x", forward, count=1)
    head = "class Net(nn.Module):\n    def __init__(self):\n        super().__init__()\n"
    return f"{head}{init}\n    def forward(self, x):\n{forward}        return h\n\nmodel = Net(){cast}\n"


def kind(layer: str) -> str:
    """A short attribute name for a layer."""
    found = re.match(r"nn\.([A-Za-z]+)", layer)
    word = found[1].lower() if found else "layer"
    return {"linear": "fc", "dropout": "drop", "batchnorm": "bn", "embedding": "emb"}.get(word.rstrip("d"), word)


def functional(layers: tuple[str, ...], dtype: str) -> str:
    """Raw tensors in a list, and a function that multiplies them out."""
    made, run, n = [], [], 0
    for layer in layers:
        if found := re.match(r"nn\.Linear\((\d+), (\d+)\)", layer):
            n += 1
            made += [
                f"w{n} = torch.randn({found[1]}, {found[2]}, dtype=torch.{dtype}) * (2 / {found[1]}) ** 0.5",
                f"b{n} = torch.zeros({found[2]}, dtype=torch.{dtype})",
            ]
            run.append(f"x = x @ w{n} + b{n}")
        elif layer in INLINE:
            run.append("x = " + INLINE[layer].format(h="x"))
        elif found := re.match(r"nn\.Dropout\(([\d.]+)\)", layer):
            run.append(f"x = nn.functional.dropout(x, {found[1]})")
    names = ", ".join(f"w{i}, b{i}" for i in range(1, n + 1))
    body = "".join(f"    {line}\n" for line in run)
    made += [f"params = [{names}]", "for p in params:", "    p.requires_grad_()\n"]
    return "\n".join(made) + f"\ndef model(x):\n{body}    return x\n"
