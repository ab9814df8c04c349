"""The network trains in evaluation mode, or is evaluated in training mode.

## Why it hurts

Dropout and batch normalisation act differently in the two modes, and `model.eval()` lasts until `model.train()` is
called. Training in evaluation mode, dropout no longer regularises and batch normalisation uses running averages that no
longer follow the weights. Evaluated in training mode, units are dropped at random and each batch is normalised by its
own statistics: the score is too low, differs from call to call, and the running averages take in the test data.

## How it is seen

Every recorded dropout, batch normalisation and recurrent layer tells its mode, whoever wrote it, and so do the modules
at each backward. Training steps are reported where the whole network is in evaluation mode (a part of it may be frozen
on purpose); evaluations in training mode where no line calls `eval()`, unless the same rows are predicted again and
again (Monte Carlo dropout). `F.dropout` ignores the module's mode unless it is given `training=`, and
`F.scaled_dot_product_attention` drops whatever `dropout_p` says in both modes. The effect on evaluations is measured:
the last one is computed again in evaluation mode.

## What to do

Call `model.train()` at the start of every epoch and `model.eval()` before every evaluation; inside a module write
`F.dropout(x, p, training=self.training)` or use a layer `nn.Dropout(p)`; give attention
`dropout_p=p if self.training else 0.0`.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator

import msgspec

from unstuck.diagnosis.model import Effect, Evidence, Finding, Known, NotApplicable, proven
from unstuck.diagnosis.skill import differs
from unstuck.diagnosis.stages import Stage
from unstuck.remedies.eval_mode import EvalMode
from unstuck.remedies.tell_mode import TellMode
from unstuck.remedies.train_mode import TrainMode
from unstuck.rules import _blind
from unstuck.signals.evaluation import FinalEvaluation
from unstuck.signals.modes import Modes, entered_at, first_site
from unstuck.signals.printed import improved
from unstuck.signals.source import Loop
from unstuck.signals.spread import spread
from unstuck.signals.training import Training
from unstuck.tape.model import Tape
from unstuck.tape.modes import in_evaluation

FAULT = "mode-error"
STAGE = Stage.REGULARISATION
NEVER_MEANT = True
APART = 0.1
"""Distance of two evaluations of the same rows, in deviations of the outputs over rows: the noise of each score."""
SHOWN = 3
"""Layers named in the evidence."""
FEWEST = 2
"""Evaluations from which on it is said of them all, where the text does not show them."""


def _idle_steps(modes: Modes) -> tuple[Evidence, ...]:
    if not modes.steps:
        return ()
    count = Evidence("training steps in evaluation mode", f"{len(modes.idle)} of {modes.steps}", "0")
    return (count, *_layers(modes)) if modes.idle else (count,)


def _dropping_evaluations(modes: Modes) -> tuple[Evidence, ...]:
    if not modes.evaluations:
        return ()
    measured = f"{len(modes.dropping)} of {modes.evaluations}"
    count = Evidence("evaluation batches in training mode", measured, "0")
    return (count, *_layers(modes)) if modes.dropping else (count,)


def _layers(modes: Modes) -> tuple[Evidence, ...]:
    few = ", ".join(modes.layers[:SHOWN]) + (f" and {len(modes.layers) - SHOWN} more" * (len(modes.layers) > SHOWN))
    return (Evidence("layers that have modes", few, "in training mode for training only"),) if modes.layers else ()


def check(tape: Tape, modes: Modes, training: Training | None) -> Iterator[Finding]:
    """Report evaluation mode left on in training, evaluation without it, and a dropout that ignores the mode."""
    if training is not None and (untold := list(_untold(tape, training, modes))):
        yield from untold
    elif modes.idle:
        yield from _idle(tape, training, modes)
    elif training is not None and not tape.passes and training.has_modes and any(training.mode_calls("eval")):
        yield from _left_on(training, modes)
    elif modes.steps or (training is not None and not tape.passes and training.has_modes):
        yield from _evaluated_in_training(tape, training, modes)
    else:
        raise NotApplicable("no recorded call depends on the mode (dropout, batch normalisation)")


def _idle(tape: Tape, training: Training | None, modes: Modes) -> Iterator[Finding]:
    """The network trained in evaluation mode: where the text says why, and what to call."""
    if any(not p.trainable for p in tape.parameters if not p.buffer):
        return  # fine-tuning of a part may keep evaluation mode on purpose
    if not _follows(tape, training, tape.passes[modes.idle[0]].program):
        return
    found = list(_left_on(training, modes)) if training is not None else []
    yield from found or [_unseen(tape, training, modes)]


def _unseen(tape: Tape, training: Training | None, modes: Modes) -> Finding:
    """Training in evaluation mode where the text does not show the call that set it, or not which model it is of."""
    loop = _training_loop(training) if training is not None else None
    name = _model_name(tape, training, loop) if training is not None and loop is not None else ""
    call = _any_eval(training) if training is not None else None
    place = call or loop
    site = training.source.site(place) if training is not None and place is not None else None
    site = site or first_site(tape.programs[tape.passes[modes.idle[0]].program])
    since = "from the first step on" if modes.idle[0] == 0 else f"from step {modes.idle[0] + 1} on"
    advice = (
        f"call {name or 'model'}.train() in the loop of line {loop.lineno}"
        if loop is not None
        else ("call train() on the network before its training loop")
    )
    said = f"the network trains in evaluation mode {since} ({len(modes.idle)} of {modes.steps} steps); {advice}"
    remedies = (TrainMode(training.source.site(loop), name),) if training is not None and loop and name else ()
    return Finding(FAULT, said, site, _idle_steps(modes), remedies, "error", known="observed")


def _training_loop(training: Training) -> ast.For | ast.While | None:
    """The loop over epochs, or the one around a backward where that is all there is."""
    chains = [[n for n in chain if isinstance(n, ast.For | ast.While)] for chain in training.training_chains]
    return next((chain[min(1, len(chain) - 1)] for chain in chains if chain), None)


def _any_eval(training: Training) -> ast.Call | None:
    """The one call that sets evaluation mode, of whatever it may be."""
    calls = [c for c in training.methods("eval") if not c.args and not c.keywords]
    calls += [c for c in training.methods("train") if [ast.unparse(a) for a in c.args] == ["False"]]
    return calls[0] if len(calls) == 1 else None


def _model_name(tape: Tape, training: Training, loop: ast.For | ast.While) -> str:
    """What the network is called in the loop's scope: by the text, else by the name under which it was recorded."""
    if name := _name_at(training, loop):
        return name
    roots = {p.root for p in tape.parameters if p.root and p.trainable}
    scope = training.source.scope(loop)
    read = {ast.unparse(n) for n in training.source.all(ast.expr, scope) if isinstance(n, ast.Name | ast.Attribute)}
    return next((r for r in sorted(roots) if r in read), "") if len(roots) == 1 else ""


def _evaluated_in_training(tape: Tape, training: Training | None, modes: Modes) -> Iterator[Finding]:
    """Evaluations in training mode, or none recorded and none in the text that says eval()."""
    switches = training is not None and any(training.mode_calls("eval"))
    if modes.repeated or switches or (modes.evaluations and not modes.dropping):
        return
    if modes.dropping and not _follows(tape, training, modes.dropping[0].program):
        return
    found = list(_never_evaluates(tape, training, modes)) if training is not None else []
    yield from found
    if modes.dropping and not found and len(modes.dropping) == modes.evaluations and modes.evaluations >= FEWEST:
        yield _dropped(tape, modes)


def _follows(tape: Tape, training: Training | None, program: int) -> bool:
    """Whether the mode of the modules reaches a layer of a program."""
    return training is None or _blind.follows(training.source, tape.programs[program])


def _dropped(tape: Tape, modes: Modes) -> Finding:
    """Every evaluation ran in training mode, and the text does not show the call."""
    said = "the network is evaluated in training mode; call eval() on it first, and train() before training goes on"
    known, effect = _measured(tape, modes)
    site, evidence = entered_at(tape.programs[modes.dropping[0].program]), _dropping_evaluations(modes)
    word: Known = known if effect.word == "proven" else "guessed"  # it may be meant: Monte Carlo dropout
    return Finding(FAULT, said, site, evidence, (), "error", known=word, effect=effect)


def verify(before: Tape, after: Tape) -> str | None:
    """The modes were wrong and are right now, and the last evaluation scores higher."""
    old, new = Modes.read(before), Modes.read(after)
    if not (old.dropping or old.idle) or new.dropping or new.idle or not new.steps:
        return None
    try:
        was, now = FinalEvaluation.read(before), FinalEvaluation.read(after)
    except NotApplicable:
        return improved(before, after)
    if not differs(was.skill, now.skill):
        return None
    wrong = f"{len(old.dropping)} evaluation batches in training mode, {len(old.idle)} steps in evaluation mode"
    return f"{was.name} of the last evaluation {was.score:.3f} before ({wrong}), {now.score:.3f} after the patch"


def _measured(tape: Tape, modes: Modes) -> tuple[Known, Effect]:
    """What training mode does to the last evaluation: proven if evaluation mode scores otherwise."""
    if not modes.dropping:
        return "read", Effect()
    try:
        was, now = FinalEvaluation.read(tape), FinalEvaluation.read(_evaluated(tape))
    except NotApplicable:
        return "observed", Effect()
    if not differs(was.skill, now.skill) and not differs(now.skill, was.skill):
        return "observed", Effect()
    said = f"the last evaluation has {was.name} {was.score:.3f} in training mode, {now.score:.3f} in evaluation mode"
    return "observed", proven(said)


def _unsteady(tape: Tape, modes: Modes) -> Effect:
    """Proven if two evaluations of the same rows lie apart."""
    apart = spread(tape, modes.dropping[-1])
    if apart is None or apart < APART:
        return Effect()
    return proven(f"two evaluations of the same rows differ by {apart:.0%} of the outputs' standard deviation")


def _evaluated(tape: Tape) -> Tape:
    """The tape, with its evaluations in evaluation mode."""
    judged = {e.program for e in tape.evaluations} - {p.program for p in tape.passes}
    programs = tuple(in_evaluation(p) if n in judged else p for n, p in enumerate(tape.programs))
    return msgspec.structs.replace(tape, programs=programs)


def _untold(tape: Tape, training: Training, modes: Modes) -> Iterator[Finding]:
    """Functions that drop units in evaluations, because they are not given the module's mode."""
    if not modes.dropping:
        return
    if not any(training.mode_calls("eval")) and _follows(tape, training, modes.dropping[0].program):
        return
    source = training.source
    if blind := list(_blind.calls(source, tape.programs[modes.dropping[0].program])):
        name = source.code(blind[0].func)
        said = f"{name}() drops units in evaluations too, because it does not get the module's mode (self.training)"
        remedies = (TellMode(tuple(source.site(c) for c in blind)),)
        known, effect = _measured(tape, modes)
        effect = effect if effect.because else _unsteady(tape, modes)
        evidence = _dropping_evaluations(modes)
        yield Finding(FAULT, said, source.site(blind[0]), evidence, remedies, "error", known=known, effect=effect)


def _left_on(training: Training, modes: Modes) -> Iterator[Finding]:
    if modes.steps and not modes.idle:
        return
    for backward in training.backwards:
        for chain in training.chains(backward):
            found = _left_on_in(training, backward, chain)
            if found is not None:
                loop, call = found
                yield _still_evaluating(training, loop, call, modes)
                return


def _left_on_in(training: Training, backward: ast.Call, chain: tuple[Loop, ...]) -> tuple[Loop, ast.Call] | None:
    """The loop that goes on training after `eval()`, and that call; None if `train()` is called in it."""
    around: list[Loop] = []
    for loop in chain:
        if _rebuilds(training, loop):
            break
        around.append(loop)
    reached = [training.reached(loop) for loop in around]
    if not around or any(_calls(training, "train", parts) for parts in reached):
        return None
    inside = _calls(training, "eval", reached[-1])
    before = _before(training, around[-1])
    call = inside or before
    return (around[-1], call) if call is not None and not _deliberate(training) else None


def _rebuilds(training: Training, loop: Loop) -> bool:
    """Whether a loop builds the models that it trains, like a loop over folds."""
    names = {b.name.rpartition(".")[2] for b in training.source.bindings if training.source.inside(b.statement, loop)}
    return bool(names & {n.rpartition(".")[2] for n in training.trained})


def _calls(training: Training, mode: str, parts: tuple[ast.AST, ...]) -> ast.Call | None:
    own = (c for part in parts for c in training.mode_calls(mode, part))
    return next(own, None)


def _before(training: Training, loop: Loop) -> ast.Call | None:
    """The last call that sets a mode before a loop in its scope, if it is `eval()`."""
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


def _deliberate(training: Training) -> bool:
    """Whether weights are frozen: fine-tuning may keep evaluation mode on purpose."""
    frozen = (b for b in training.source.bindings if b.name.endswith(".requires_grad"))
    return any(True for _ in frozen) or any(True for _ in training.methods("requires_grad_"))


def _still_evaluating(training: Training, loop: Loop, call: ast.Call, modes: Modes) -> Finding:
    source, site = training.source, training.source.site(call)
    said = f"eval() in line {site.line} stays on for training; call train() in the loop of line {loop.lineno}"
    name = _name_at(training, loop)
    remedies = (TrainMode(source.site(loop), name),) if name else ()
    known: Known = "observed" if modes.idle else "read"
    return Finding(FAULT, said, site, _idle_steps(modes), remedies, "error", known=known)


def _name_at(training: Training, loop: Loop) -> str:
    """The name of the trained network in the loop's scope."""
    source, scope = training.source, training.source.scope(loop)
    for call in source.own(ast.Call, scope):
        if training.is_trained(call.func) and isinstance(call.func, ast.Name | ast.Attribute):
            return ast.unparse(call.func)
    owner = source.owner_class(loop)
    for name in training.trained:
        if owner is not None and any(b.name == name and source.inside(b.statement, owner) for b in source.bindings):
            return name
    for call in source.all(ast.Call, owner) if owner is not None else ():
        own = isinstance(call.func, ast.Attribute) and ast.unparse(call.func.value) == "self"
        if own and training.is_trained(call.func):
            return ast.unparse(call.func)
    given = (a for c in source.all(ast.Call, loop) for a in c.args)
    return next(
        (ast.unparse(a) for a in given if isinstance(a, ast.Name | ast.Attribute) and training.is_trained(a)), ""
    )


def _never_evaluates(tape: Tape, training: Training, modes: Modes) -> Iterator[Finding]:
    """Every evaluation of a trained network, in a program that never calls eval()."""
    for call in training.source.all(ast.Call):
        func = call.func
        if not isinstance(func, ast.Name | ast.Attribute) or not training.is_trained(func) or not call.args:
            continue
        if training.gradient_free(call) and not training.in_training(call) and not _samples(training, call):
            site, name = training.source.site(call), ast.unparse(func)
            said = f"{name} is evaluated in training mode; call {name}.eval() first"
            remedies = (EvalMode(site, name, _epoch_loops(training, call)),)
            known, effect = _measured(tape, modes)
            evidence = _dropping_evaluations(modes)
            yield Finding(FAULT, said, site, evidence, remedies, "error", known=known, effect=effect)


def _samples(training: Training, call: ast.Call) -> bool:
    """Whether the network is called repeatedly on the same input (Monte Carlo dropout)."""
    loops = training.source.loops(call)
    return any(_only_repeats(training, loop, call) for loop in loops[:1] if loop not in training.training_loops)


def _only_repeats(training: Training, loop: Loop, call: ast.Call) -> bool:
    comprehension = next(iter(getattr(loop, "generators", ())), loop)
    targets = getattr(comprehension, "target", None)
    bound = {n.id for n in ast.walk(targets) if isinstance(n, ast.Name)} if targets is not None else set()
    bound |= {b.name for b in training.source.bindings if training.source.inside(b.statement, loop)}
    read = {n.id for a in call.args for n in ast.walk(a) if isinstance(n, ast.Name)}
    return not bound & read


def _epoch_loops(training: Training, call: ast.Call) -> tuple:
    """The training loops around an evaluation that must call train() again."""
    around = dict.fromkeys(loop for chain in training.chains(call) for loop in chain if loop in training.training_loops)
    return tuple(training.source.site(loop) for loop in around if not _calls(training, "train", training.reached(loop)))


_SCRIPT = """
import torch
from torch import nn

torch.manual_seed(0)
x = 10 + 3 * torch.randn(400, 6)
y = (x[:, 0] > x[:, 1]).long()
model = nn.Sequential(nn.BatchNorm1d(6), nn.Linear(6, 32), nn.ReLU(), nn.Dropout(0.1), nn.Linear(32, 2))
optimizer = torch.optim.SGD(model.parameters(), lr=0.1)


def accuracy():
    model.eval()
    with torch.no_grad():
        return (model(x[300:]).argmax(1) == y[300:]).float().mean().item()


print("before training", accuracy())
for epoch in range(8):
{train}    for batch in torch.randperm(300).split(30):
        optimizer.zero_grad()
        loss = nn.functional.cross_entropy(model(x[batch]), y[batch])
        loss.backward()
        optimizer.step()
    print(epoch, loss.item(), accuracy())
"""

FIRES = _SCRIPT.format(train="")
QUIET = _SCRIPT.format(train="    model.train()\n")
