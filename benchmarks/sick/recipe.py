"""A recipe chooses the parts of a training script; a script is those parts as text, ready to be edited."""

from __future__ import annotations

import random
import re
from dataclasses import dataclass, field, replace

from benchmarks.sick.networks import network
from benchmarks.sick.tasks import TASKS, Task

OPTIMIZERS = {
    "adam": "torch.optim.Adam({p}, lr={lr:g})",
    "adamw": "torch.optim.AdamW({p}, lr={lr:g})",
    "sgd": "torch.optim.SGD({p}, lr={lr:g}, momentum=0.9)",
    "rmsprop": "torch.optim.RMSprop({p}, lr={lr:g})",
}
BATCHES = (1, 8, 64, 512, 0)
"""0 is the full batch."""
EPOCHS = {1: 2, 8: 8, 64: 24, 512: 90, 0: 240}
FASTER = {1: 0.2, 8: 0.6, 64: 1.0, 512: 2.0, 0: 3.0}
"""How a rate that is right for 64 rows is changed for other batches (momentum takes less, see `rate`)."""
NAMES = (
    {},
    {"model": "net", "optimizer": "opt", "criterion": "loss_fn", "x_train": "X_train", "x_test": "X_test"},
    {
        "model": "network",
        "optimizer": "optim",
        "criterion": "lossf",
        "xb": "inputs",
        "yb": "labels",
        "output": "outputs",
    },
    {"output": "pred", "xb": "data", "yb": "target", "optimizer": "optimiser", "criterion": "loss_function"},
    {
        "model": "clf",
        "x_train": "train_x",
        "y_train": "train_y",
        "x_test": "test_x",
        "y_test": "test_y",
        "total": "running",
    },
)
"""What different people call the same things."""


class NotHere(Exception):
    """The fault has no place in this script."""


@dataclass(frozen=True)
class Recipe:
    """The choices that make a healthy script."""

    task: str
    style: str = "sequential"
    loop: str = "slices"
    optimizer: str = "adam"
    batch: int = 64
    width: int = 32
    depth: int = 2
    activation: str = "ReLU"
    dtype: str = "float32"
    naming: int = 0

    @property
    def about(self) -> Task:
        """The task itself."""
        return TASKS[self.task]

    @property
    def rate(self) -> float:
        """A learning rate that is right for these choices, by rule of thumb."""
        usual = {"adam": 4e-3, "adamw": 4e-3, "rmsprop": 2e-3, "sgd": 0.06}[self.optimizer]
        faster = FASTER[self.batch] ** (0.7 if self.optimizer == "sgd" else 1.0)
        if self.optimizer == "sgd" and self.batch == 1:
            faster = 0.05
        slower = 0.5 if self.width >= 256 or self.depth >= 4 or self.about.input == "image" else 1.0
        return float(f"{usual * faster * slower * (3.0 if self.activation == 'Sigmoid' else 1.0):.1g}")

    def __str__(self) -> str:
        batch = self.batch or "full"
        return (
            f"{self.task}, {self.style}, {self.loop}, {self.optimizer} {self.rate:g}, batch {batch}, "
            f"{self.depth} x {self.width} {self.activation}, {self.dtype}"
        )


@dataclass(frozen=True)
class Script:
    """The parts of a script in the order in which they are written."""

    recipe: Recipe
    imports: tuple[str, ...]
    data: str
    units: str = ""
    tensors: str = ""
    prepare: str = ""
    layers: tuple[str, ...] = ()
    style: str = "sequential"
    build: str = ""
    init: str = ""
    criterion: str = ""
    optimizer: str = ""
    schedule: str = ""
    epochs: int = 30
    step: str = ""
    batches: str = ""
    loop: str = ""
    evaluate: str = ""
    report: str = ""
    edits: tuple[tuple[str, str], ...] = field(default=())
    """Exact replacements in the whole text, made last."""

    def with_(self, **parts: object) -> Script:
        """A changed copy."""
        return replace(self, **parts)  # type: ignore[arg-type]

    def swap(self, part: str, old: str, new: str) -> Script:
        """The script with one piece of a part replaced; raises NotHere where the part does not hold it."""
        text = getattr(self, part)
        if old not in text:
            raise NotHere(f"{part} has no {old!r}")
        return replace(self, **{part: text.replace(old, new)})

    def edit(self, old: str, new: str) -> Script:
        """The script with an exact replacement in its final text (before names are changed)."""
        return replace(self, edits=(*self.edits, (old, new)))

    def render(self) -> str:
        """The script's text."""
        model = self.build or network(self.layers, self.style, self.recipe.dtype)
        head = "import os\n\n" + "\n".join(sorted(self.imports)) + '\n\nSEED = int(os.environ.get("SEED", 0))\n'
        loop = self.loop.replace("@epochs@", str(self.epochs))
        loop = re.sub(r"^( *)@step@\n", lambda m: indented(self.step, m[1]), loop, flags=re.MULTILINE)
        body = [self.data, self.units, self.tensors, self.prepare, "torch.manual_seed(SEED)\n", model, self.init]
        body += [self.criterion, self.optimizer, self.schedule, self.evaluate, self.batches, loop, self.report]
        text = head + "\n" + tidy("\n".join(part.strip("\n") for part in body if part.strip()))
        return named(edited(text, self.edits), NAMES[self.recipe.naming])


def indented(text: str, space: str) -> str:
    """Every line of a text moved to the right."""
    return "".join(space + line + "\n" if line.strip() else "\n" for line in text.strip("\n").splitlines())


def edited(text: str, edits: tuple[tuple[str, str], ...]) -> str:
    """The text with exact replacements; raises NotHere where one does not stand there."""
    for old, new in edits:
        if old not in text:
            raise NotHere(f"the script has no {old!r}")
        text = text.replace(old, new)
    return text


def named(text: str, names: dict[str, str]) -> str:
    """The text with other variable names."""
    for old, new in names.items():
        text = re.sub(rf"(?<![\w.'\"]){old}\b(?!['\"=])|(?<=[( ]){old}(?= = )", new, text)
    return text


def tidy(text: str) -> str:
    """Blank lines around definitions, none doubled elsewhere."""
    text = re.sub(r"\n+((?:class|def|@)[^\n]*\n(?:(?: +[^\n]*)?\n)*(?: +[^\n]*\n?))", r"\n\n\n\1\n\n", text)
    return re.sub(r"\n{4,}", "\n\n\n", text).strip("\n") + "\n"


def drawn(rng: random.Random, task: str) -> Recipe:
    """A healthy recipe at random, within what suits the task."""
    about = TASKS[task]
    batch = rng.choice(BATCHES if about.input == "table" else (8, 64, 64, 512))
    depth = rng.choice((1, 2, 2, 3, 4, 6) if about.input == "table" else (1, 2))
    activation = rng.choice(("ReLU", "ReLU", "Tanh", "GELU", "Sigmoid") if depth <= 2 else ("ReLU", "Tanh", "GELU"))
    if about.input != "table":
        activation = "ReLU" if about.input == "image" else "Tanh"
    styles = ("sequential", "class", "functional") if about.input == "table" else about.styles
    width = (
        rng.choice((4, 16, 32, 64, 128, 512) if batch == 64 else (16, 32, 64))
        if about.input == "table"
        else rng.choice((16, 32))
    )
    return Recipe(
        task=task,
        style=rng.choice(styles),
        loop=rng.choice(("slices", "loader", "function")),
        optimizer=rng.choice(tuple(OPTIMIZERS)),
        batch=batch,
        width=width if depth < 4 else min(width, 64),
        depth=depth,
        activation=activation,
        dtype=rng.choice(("float32", "float32", "float32", "float64")),
        naming=rng.randrange(len(NAMES)),
    )
