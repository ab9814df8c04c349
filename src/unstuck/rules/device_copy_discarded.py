"""The result of `tensor.to(...)` is discarded.

## Why it hurts

`x.to(device)`, `x.cuda()` and `x.float()` return a new tensor and leave `x` as it was; only `module.to(...)` works in
place. As a statement of its own the call has no effect. The script fails as soon as model and data are on different
devices or have different dtypes; on a machine without a GPU nobody notices.

## How it is seen

Read from the source: the call is a statement of its own, and the object it is called on is certainly a tensor (a batch
of a `DataLoader`, or the result of a torch function). If the script stopped with a device or dtype mismatch, this is
an error; otherwise it is a hint.

## What to do

Assign the result: `x = x.to(device)`.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator

from unstuck.diagnosis.model import Effect, Evidence, Finding, proven
from unstuck.diagnosis.stages import Stage
from unstuck.remedies.keep_device_copy import KeepDeviceCopy
from unstuck.signals.source import Binding, Source
from unstuck.signals.totals import Totals, iterated
from unstuck.tape.model import Tape

FAULT = "device-copy-discarded"
STAGE = Stage.WIRING
COPIES = {"to", "cuda", "cpu", "float", "double", "half", "bfloat16", "long", "int"}
MODULES = {"parameters", "train", "eval", "state_dict", "load_state_dict", "named_parameters", "modules", "zero_grad"}
"""Methods that modules have and tensors do not."""
MAKERS = (
    "torch.tensor",
    "torch.from_numpy",
    "torch.as_tensor",
    "torch.Tensor",
    "torch.FloatTensor",
    "torch.LongTensor",
)
MAKERS += ("torch.rand", "torch.zeros", "torch.ones", "torch.full", "torch.arange", "torch.linspace", "torch.empty")
MAKERS += ("torch.stack", "torch.cat", "torch.eye")
DISAGREE = ("same device", "expected scalar type", "same dtype", "found dtype", "should be the same", "Input type")
"""Words of torch's errors about a device or dtype mismatch."""


def check(totals: Totals, tape: Tape) -> Iterator[Finding]:
    """Report each discarded copy of a tensor."""
    source = totals.source
    said = str((tape.error or {}).get("message", ""))
    broke = any(words in said for words in DISAGREE)
    for statement in source.all(ast.Expr):
        call = statement.value
        if isinstance(call, ast.Call) and _copies(source, call) and _is_tensor(totals, call):
            yield _finding(source, call, said if broke else "")


def _copies(source: Source, call: ast.Call) -> bool:
    func = call.func
    plain = isinstance(func, ast.Attribute) and func.attr in COPIES and isinstance(func.value, ast.Name | ast.Attribute)
    return plain and not source.full_name(func)


def _is_tensor(totals: Totals, call: ast.Call) -> bool:
    owner = call.func.value if isinstance(call.func, ast.Attribute) else call
    source = totals.source
    bindings = source.bindings_of(owner)
    if _is_module(source, owner) or not bindings:
        return False
    return any(_given_tensor(totals, b) for b in bindings)


def _is_module(source: Source, owner: ast.expr) -> bool:
    """Whether the name is called, or has a method used that only modules have, anywhere in its file."""
    name, page = ast.unparse(owner), source.page(owner)
    called = (c.func for c in page.all(ast.Call))
    methods = (f.value for f in page.all(ast.Attribute) if f.attr in MODULES)
    return any(ast.unparse(f) == name for f in (*called, *methods))


def _given_tensor(totals: Totals, b: Binding) -> bool:
    value = b.value
    if value is None:
        return False
    if b.kind == "loop":
        return isinstance(b.statement, ast.For) and bool(_batches(totals, b.statement))
    if b.kind == "assign" and b.item >= 0 and isinstance(value, ast.Name):
        return any(_given_tensor(totals, outer) for outer in totals.source.bindings_of(value) if outer.kind == "loop")
    name = totals.source.full_name(value)
    return b.kind == "assign" and (name.startswith(MAKERS) or _drawn(totals, value))


def _drawn(totals: Totals, value: ast.expr) -> bool:
    """`batch[0]` of a loop over a data loader, or `next(iter(loader))`."""
    if isinstance(value, ast.Subscript) and isinstance(value.value, ast.Name):
        return any(_given_tensor(totals, b) for b in totals.source.bindings_of(value.value) if b.kind == "loop")
    if isinstance(value, ast.Call) and ast.unparse(value.func) in ("next", "iter") and value.args:
        inner = value.args[0]
        return _drawn(totals, inner) or bool(totals.loaders(inner))
    return False


def _batches(totals: Totals, loop: ast.For) -> bool:
    over = iterated(loop)
    return over is not None and bool(totals.loaders(over))


def _finding(source: Source, call: ast.Call, error: str) -> Finding:
    site, code = source.site(call), source.code(call)
    owner = code.rpartition(".")[0]
    said = f"the result of `{code}` is discarded and {owner} is unchanged; write `{owner} = {code}`"
    evidence = (Evidence("source", code, f"{owner} = {code}"),)
    remedies = (KeepDeviceCopy((site,)),)
    if not error:
        harmless = Effect("refuted", "all tensors were on one device and of one dtype in this run")
        return Finding(FAULT, said, site, evidence, remedies, known="read", effect=harmless)
    refused = proven(f"the script stopped with: {error.splitlines()[0]}")
    return Finding(FAULT, said, site, evidence, remedies, "error", known="observed", effect=refused)


_SCRIPT = """
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

torch.manual_seed(0)
x = torch.randn(400, 4, dtype=torch.float64)
y = (x[:, :1] + x[:, 1:2]).float()
loader = DataLoader(TensorDataset(x, y), batch_size=20, shuffle=True)
model = nn.Linear(4, 1)
optimizer = torch.optim.SGD(model.parameters(), lr=0.1)

for epoch in range(3):
    for inputs, targets in loader:
        {moved}inputs.float()
        loss = nn.functional.mse_loss(model(inputs), targets)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    print(epoch, loss.item())
"""

FIRES = _SCRIPT.format(moved="")
QUIET = _SCRIPT.format(moved="inputs = ")
