"""From a recipe to the parts of a healthy script."""

from __future__ import annotations

from benchmarks.sick.recipe import EPOCHS, OPTIMIZERS, Recipe, Script
from benchmarks.sick.tasks import Task

IMPORTS = ("import numpy as np", "import torch", "from torch import nn")
LOADER = "from torch.utils.data import DataLoader, TensorDataset"
PREPARE = """
mean, std = x_train.mean(0), x_train.std(0)
x_train, x_test = (x_train - mean) / std, (x_test - mean) / std
"""
STEP = """
optimizer.zero_grad()
output = model(xb)
loss = criterion(output, yb)
loss.backward()
optimizer.step()
"""
SLICES = """
for epoch in range(@epochs@):
    model.train()
    total = 0.0
    for idx in torch.randperm(n_train).split({batch}):
        xb, yb = x_train[idx], y_train[idx]
        @step@
        total += loss.item() * len(idx)
    if epoch % {every} == 0:
        print(f"epoch {{epoch}} loss {{total / n_train:.4f}}")
"""
WHOLE = """
xb, yb = x_train, y_train
for epoch in range(@epochs@):
    model.train()
    @step@
    if epoch % {every} == 0:
        print("epoch", epoch, "loss", loss.item())
"""
LOADED = """
for epoch in range(@epochs@):
    model.train()
    total = 0.0
    for xb, yb in loader:
        @step@
        total += loss.item()
    if epoch % {every} == 0:
        print("Epoch %d loss %.4f" % (epoch, total / len(loader)))
"""
FUNCTION = """
def train(epoch):
    model.train()
    total = 0.0
    for xb, yb in loader:
        @step@
        total += loss.item()
    return total / len(loader)

for epoch in range(@epochs@):
    loss_value = train(epoch)
    if (epoch + 1) % {every} == 0:
        print(f"[{{epoch + 1}}] loss {{loss_value:.5f}}")
"""
EVALUATE = """
def evaluate():
    model.eval()
    with torch.no_grad():
        output = model(x_test)
    return {value}
"""
VALUES = {
    "binary": "((output > 0).long() == y_test.long()).float().mean().item()",
    "multi": "(output.argmax(1) == y_test).float().mean().item()",
    "number": "1 - ((output - y_test) ** 2).mean().item() / y_test.var().item()",
}
CRITERIA = {"binary": "nn.BCEWithLogitsLoss()", "multi": "nn.CrossEntropyLoss()", "number": "nn.MSELoss()"}


def script(recipe: Recipe) -> Script:
    """The healthy script of a recipe."""
    task = recipe.about
    parameters = "params" if recipe.style == "functional" else "model.parameters()"
    squeeze = "" if task.kind == "multi" else ".squeeze(1)"
    batch = recipe.batch or task.rows
    loop, batches = looped(recipe, batch)
    text = Script(
        recipe,
        imports=(*IMPORTS, LOADER) if batches else IMPORTS,
        data=task.data,
        tensors=tensors(task, recipe.dtype),
        prepare="" if task.input == "tokens" else PREPARE if task.input == "table" else PREPARE.replace("(0)", "()"),
        layers=layers(recipe),
        style=recipe.style,
        criterion=f"criterion = {CRITERIA[task.kind]}\n",
        optimizer=f"optimizer = {OPTIMIZERS[recipe.optimizer].format(p=parameters, lr=recipe.rate)}\n",
        epochs=epochs(recipe),
        step=STEP.replace("model(xb)", f"model(xb){squeeze}"),
        batches=batches,
        loop=loop,
        evaluate=EVALUATE.format(value=VALUES[task.kind]).replace("model(x_test)", f"model(x_test){squeeze}"),
        report=f'print(f"RESULT {task.metric} {{evaluate():.4f}}")\n',
    )
    return bare(text) if recipe.style == "functional" else text


def epochs(recipe: Recipe) -> int:
    """Enough of them, and not many more."""
    if recipe.about.input in ("series", "image"):
        return {8: 5, 64: 14, 512: 60}[recipe.batch]
    return EPOCHS[recipe.batch] * (2 if recipe.activation == "Sigmoid" else 1)


def bare(text: Script) -> Script:
    """Without the modes that only modules have."""
    loop = text.loop.replace("    model.train()\n", "")
    return text.with_(loop=loop, evaluate=text.evaluate.replace("    model.eval()\n", ""))


def tensors(task: Task, dtype: str) -> str:
    """From numpy arrays to tensors, split."""
    x_type = "long" if task.input == "tokens" else dtype
    y_type = "long" if task.kind == "multi" else dtype
    return (
        f"n_train = {int(task.rows * 0.75)}\n"
        f"x = torch.tensor(x, dtype=torch.{x_type})\ny = torch.tensor(y, dtype=torch.{y_type})\n"
        "x_train, y_train, x_test, y_test = x[:n_train], y[:n_train], x[n_train:], y[n_train:]\n"
    )


def looped(recipe: Recipe, batch: int) -> tuple[str, str]:
    """The loop, and the loader that it needs ("" where it needs none)."""
    every = max(epochs(recipe) // 8, 1)
    if recipe.batch == 0:
        return WHOLE.format(every=every), ""
    if recipe.loop == "slices":
        return SLICES.format(batch=batch, every=every), ""
    loader = f"loader = DataLoader(TensorDataset(x_train, y_train), batch_size={batch}, shuffle=True)\n"
    return (LOADED if recipe.loop == "loader" else FUNCTION).format(every=every), loader


def layers(recipe: Recipe) -> tuple[str, ...]:
    """The layers that suit the task."""
    task, w, act = recipe.about, recipe.width, f"nn.{recipe.activation}()"
    hidden = [part for _ in range(recipe.depth - 1) for part in (f"nn.Linear({w}, {w})", act)]
    head = f"nn.Linear({w}, {task.n_out})"
    if task.input == "table":
        return (f"nn.Linear({task.n_in}, {w})", act, *hidden, head)
    if task.input == "image":
        more = (f"nn.Conv2d({w}, {w}, 3, padding=1)", act) * (recipe.depth - 1)
        first = ("nn.Unflatten(1, (1, 10))", f"nn.Conv2d(1, {w}, 3, padding=1)", act)
        return (*first, *more, "nn.MaxPool2d(2)", "nn.Flatten()", f"nn.Linear({w * 25}, {task.n_out})")
    if task.input == "series":
        cell = "nn.GRU" if recipe.depth == 1 else "nn.LSTM"
        return (f"{cell}({task.n_in}, {w}, batch_first=True)", "LAST", head)
    return (f"nn.Embedding({task.n_in}, {w}, padding_idx=0)", "MEAN", f"nn.Linear({w}, {w})", act, head)
