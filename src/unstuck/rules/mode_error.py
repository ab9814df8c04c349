"""The network trains in evaluation mode, or is evaluated in training mode.

## Why it hurts

Dropout and batch normalisation act differently in the two modes. Once `model.eval()` was called, nothing but
`model.train()` takes it back: from then on dropout no longer regularises and batch normalisation uses averages that no
longer follow the weights, so the loss drifts away from what the network does. The other way round, an evaluation in
training mode drops units at random and normalises by the batch at hand: the score is too low and differs from call to
call, and the averages take in the test data.

## How it is seen

The text is read, through the functions that are called, for programs that build such layers. `eval()` is reached from
the training loop (or in front of it) and nothing in the loop calls `train()`; or the trained network is called without
gradients outside the batch loop while no line of the program ever calls `eval()`. `F.dropout` knows no mode unless it
is told: where the text calls `eval()` and the recorded evaluations drop units all the same, it was not.

## What to do

`model.train()` at the start of every epoch, `model.eval()` at the start of every evaluation; in a module,
`F.dropout(x, p, training=self.training)`, or a layer `nn.Dropout(p)`.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator

from unstuck.diagnosis.model import Evidence, Finding, NotApplicable
from unstuck.remedies.eval_mode import EvalMode
from unstuck.remedies.tell_mode import TellMode
from unstuck.remedies.train_mode import TrainMode
from unstuck.signals.source import Loop
from unstuck.signals.training import Training
from unstuck.tape.model import Tape
from unstuck.tape.program import Program

FAULT = "mode-error"
DROPPING = {
    f"torch.nn.functional.{name}" for name in ("dropout", "dropout1d", "dropout2d", "dropout3d", "alpha_dropout")
}


def check(tape: Tape, training: Training) -> Iterator[Finding]:
    """Evaluation mode left on in the training loop, or evaluation without it; a dropout that knows no mode."""
    untold = list(_untold(tape, training))
    yield from untold
    if untold:
        return
    if not training.has_modes:
        raise NotApplicable("no dropout and no batch normalisation: the two modes are the same")
    if not any(training.mode_calls("eval")):
        yield from _never_evaluates(training)
    else:
        yield from _left_on(training)


def _untold(tape: Tape, training: Training) -> Iterator[Finding]:
    """Dropout functions in a module's methods that are not told the mode, at work in an evaluation after `eval()`."""
    if not any(training.mode_calls("eval")) or not any(_drops(tape.programs[e.program]) for e in tape.evaluations):
        return
    source = training.source
    calls = [c for c in source.all(ast.Call) if source.full_name(c) in DROPPING and source.owner_class(c) is not None]
    blind = [c for c in calls if len(c.args) < 3 and not any(k.arg in ("training", None) for k in c.keywords)]
    if blind:
        name = source.code(blind[0].func)
        said = f"{name} is not told the mode: it goes on dropping units in the evaluations, after eval()"
        evidence = Evidence("dropout at work in the recorded evaluations", "yes", "no")
        remedies = (TellMode(tuple(source.site(c) for c in blind)),)
        yield Finding(FAULT, said, source.site(blind[0]), (evidence,), remedies, "error", demonstrated=said)


def _drops(program: Program) -> bool:
    return any(
        "dropout" in c.name and c.argument(2, "training", True) and c.argument(1, "p", 0.5) for c in program.calls
    )


def _left_on(training: Training) -> Iterator[Finding]:
    for backward in training.backwards:
        for chain in training.chains(backward):
            found = _left_on_in(training, backward, chain)
            if found is not None:
                loop, call = found
                yield _still_evaluating(training, loop, call)
                return


def _left_on_in(training: Training, backward: ast.Call, chain: tuple[Loop, ...]) -> tuple[Loop, ast.Call] | None:
    """The loop that goes on training after `eval()`, and that call; None where `train()` takes it back."""
    around: list[Loop] = []
    for loop in chain:
        if _rebuilds(training, backward, loop):
            break
        around.append(loop)
    reached = [training.reached(loop) for loop in around]
    if not around or any(_calls(training, "train", parts) for parts in reached):
        return None
    inside = _calls(training, "eval", reached[-1])
    before = _before(training, around[-1])
    call = inside or before
    return (around[-1], call) if call is not None and not _deliberate(training, call) else None


def _rebuilds(training: Training, backward: ast.Call, loop: Loop) -> bool:
    """Whether a loop builds the models that it trains, as a loop over folds does."""
    names = {b.name.rpartition(".")[2] for b in training.source.bindings if training.source.inside(b.statement, loop)}
    return bool(names & {n.rpartition(".")[2] for n in training.trained})


def _calls(training: Training, mode: str, parts: tuple[ast.AST, ...]) -> ast.Call | None:
    own = (c for part in parts for c in training.mode_calls(mode, part))
    return next(own, None)


def _before(training: Training, loop: Loop) -> ast.Call | None:
    """The last mode set in front of a loop in its own scope, where that is evaluation."""
    source, scope = training.source, training.source.scope(loop)
    calls = [c for c in source.own(ast.Call, scope) if c.lineno < loop.lineno]
    set_ = [
        (c, m)
        for c in calls
        for m in ("eval", "train")
        if c in set(training.mode_calls(m, c)) or _enters(training, c, m)
    ]
    return set_[-1][0] if set_ and set_[-1][1] == "eval" else None


def _enters(training: Training, call: ast.Call, mode: str) -> bool:
    return any(_calls(training, mode, training.reached(f)) is not None for f in training.source.called(call))


def _deliberate(training: Training, call: ast.Call) -> bool:
    """Whether weights of the network are frozen: then evaluation mode may be meant to last."""
    frozen = (b for b in training.source.bindings if b.name.endswith(".requires_grad"))
    return any(True for _ in frozen) or any(True for _ in training.methods("requires_grad_"))


def _still_evaluating(training: Training, loop: Loop, call: ast.Call) -> Finding:
    source, site = training.source, training.source.site(call)
    said = f"line {site.line} switches to evaluation mode; nothing in the loop of line {loop.lineno} switches back"
    name = _name_at(training, loop)
    remedies = (TrainMode(source.site(loop), name),) if name else ()
    evidence = Evidence("calls of train() in the loop", 0.0, "one per epoch")
    return Finding(FAULT, said, site, (evidence,), remedies, "error", demonstrated=said)


def _name_at(training: Training, loop: Loop) -> str:
    """How the trained network is called in the loop's own scope."""
    source, scope = training.source, training.source.scope(loop)
    for call in source.own(ast.Call, scope):
        if training.is_trained(call.func) and isinstance(call.func, ast.Name | ast.Attribute):
            return ast.unparse(call.func)
    owner = source.owner_class(loop)
    for name in training.trained:
        if owner is not None and any(b.name == name and source.inside(b.statement, owner) for b in source.bindings):
            return name
    given = (a for c in source.all(ast.Call, loop) for a in c.args)
    return next(
        (ast.unparse(a) for a in given if isinstance(a, ast.Name | ast.Attribute) and training.is_trained(a)), ""
    )


def _never_evaluates(training: Training) -> Iterator[Finding]:
    """The first evaluation of a trained network, in a program that never calls eval()."""
    for call in training.source.all(ast.Call):
        func = call.func
        if not isinstance(func, ast.Name | ast.Attribute) or not training.is_trained(func) or not call.args:
            continue
        if training.gradient_free(call) and not training.in_training(call) and not _samples(training, call):
            site, name = training.source.site(call), ast.unparse(func)
            said = f"{name} is evaluated in training mode: no line calls {name}.eval()"
            evidence = Evidence("calls of eval()", 0.0, "one per evaluation")
            remedies = (EvalMode(site, name, _epoch_loops(training, call)),)
            yield Finding(FAULT, said, site, (evidence,), remedies, "error", demonstrated=f"line {site.line}: {said}")


def _samples(training: Training, call: ast.Call) -> bool:
    """Whether the network is asked again and again for the same input, to see how its answers spread."""
    loops = training.source.loops(call)
    return any(_only_repeats(training, loop, call) for loop in loops[:1])


def _only_repeats(training: Training, loop: Loop, call: ast.Call) -> bool:
    comprehension = next(iter(getattr(loop, "generators", ())), loop)
    targets = getattr(comprehension, "target", None)
    bound = {n.id for n in ast.walk(targets) if isinstance(n, ast.Name)} if targets is not None else set()
    bound |= {b.name for b in training.source.bindings if training.source.inside(b.statement, loop)}
    read = {n.id for a in call.args for n in ast.walk(a) if isinstance(n, ast.Name)}
    return not bound & read


def _epoch_loops(training: Training, call: ast.Call) -> tuple:
    """The training loops that such an evaluation stands in: they must switch back."""
    around = dict.fromkeys(loop for chain in training.chains(call) for loop in chain if loop in training.training_loops)
    return tuple(training.source.site(loop) for loop in around if not _calls(training, "train", training.reached(loop)))


_SCRIPT = """
import torch
from torch import nn

torch.manual_seed(0)
x = torch.randn(400, 6)
y = (x[:, 0] > x[:, 1]).long()
model = nn.Sequential(nn.Linear(6, 32), nn.BatchNorm1d(32), nn.ReLU(), nn.Dropout(0.3), nn.Linear(32, 2))
optimizer = torch.optim.Adam(model.parameters(), lr=0.01)


def accuracy():
    model.eval()
    with torch.no_grad():
        return (model(x[300:]).argmax(1) == y[300:]).float().mean().item()


for epoch in range(6):
{train}    for batch in torch.randperm(300).split(30):
        optimizer.zero_grad()
        loss = nn.functional.cross_entropy(model(x[batch]), y[batch])
        loss.backward()
        optimizer.step()
    print(epoch, loss.item(), accuracy())
"""

FIRES = _SCRIPT.format(train="")
QUIET = _SCRIPT.format(train="    model.train()\n")
