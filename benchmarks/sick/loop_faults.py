"""Faults of the loop: rates, gradients, optimizers, schedules, modes, and what is measured."""

from __future__ import annotations

import re
from collections.abc import Iterator

from benchmarks.sick.fault import Edit, Fault, all_of, layered, modules, on, put, rated, swap, where
from benchmarks.sick.network_faults import activated
from benchmarks.sick.recipe import NotHere, Script, indented

binary, multi, table = on("binary"), on("multi"), on("table")
RESTART = """
for group in optimizer.param_groups:  # a warm restart, to look for another minimum
    group["lr"] *= 100
for _ in range(60):
    idx = torch.randint(0, n_train, (64,))
    xb, yb = x_train[idx], y_train[idx]
"""
not_full = lambda r: r.batch in (8, 64)
classy = lambda r: r.style == "class"


def rates() -> Iterator[Fault]:
    """Learning rates and weight decay."""
    for factor in (30, 300, 3000):
        also = ("exploding-gradient", "dead-relu", "saturated-hidden", "saturated-output", "no-zero-grad")
        yield Fault("lr-too-high", f"x{factor}", rated(factor), also=also, repair="a smaller learning rate")
    for factor in (1e-2, 1e-3, 1e-5):
        yield Fault(
            "lr-too-low", f"x{factor:g}", rated(factor), also=("vanishing-gradient",), repair="a larger learning rate"
        )
    for decay in (0.3, 1.0, 5.0):
        harm: Edit = lambda script, d=decay: script.with_(
            optimizer=script.optimizer.replace(")\n", f", weight_decay={_decay(script, d)})\n")
        )
        yield Fault(
            "weight-decay-too-high", f"{decay:g}", harm, also=("lr-too-low",), repair="a small weight decay or none"
        )


def _decay(script: Script, strength: float) -> str:
    """AdamW's decay is not divided by the gradient's size: the same strength needs a larger number."""
    return f"{strength * 20:g}" if script.recipe.optimizer == "adamw" else f"{strength:g}"


def gradients() -> Iterator[Fault]:
    """The four lines of the step, in the wrong number or order."""
    also = ("lr-too-high", "exploding-gradient")
    none = swap("step", "optimizer.zero_grad()\n", "")
    yield Fault("no-zero-grad", "missing", none, also=also, repair="optimizer.zero_grad() in every step")
    also = ("no-zero-grad", "lr-too-low")
    yield Fault("no-step", "missing", swap("step", "optimizer.step()\n", ""), also=also, repair="call optimizer.step()")
    yield Fault(
        "no-step", "no-backward", swap("step", "loss.backward()\n", ""), also=also, repair="call loss.backward()"
    )
    between = all_of(none, swap("step", "loss.backward()\n", "loss.backward()\noptimizer.zero_grad()\n"))
    yield Fault("no-step", "zero-before-step", between, also=also, repair="zero_grad before backward")
    sign = swap("step", "criterion(output, yb)", "-criterion(output, yb)")
    yield Fault("loss-sign", "minus", sign, also=("exploding-gradient",), repair="minimise the loss")
    up = swap("optimizer", ")\n", ", maximize=True)\n")
    yield Fault("loss-sign", "maximize", up, also=("exploding-gradient",), repair="leave maximize out")


def graphs() -> Iterator[Fault]:
    """A graph that is cut, weights that are frozen."""
    also = ("no-step", "frozen-params")
    copied = swap("step", "criterion(output, yb)", "criterion(output.detach().requires_grad_(), yb)")
    yield Fault("graph-detached", "output", copied, also=also, repair="no detach")
    loss = swap("step", "loss.backward()", "loss = torch.tensor(loss.item(), requires_grad=True)\nloss.backward()")
    yield Fault("graph-detached", "new-tensor", loss, also=also, repair="call backward on the loss itself")
    plain = swap("step", "criterion(output, yb)", "criterion(output.detach(), yb)")
    yield Fault("graph-detached", "error", plain, also=also, repair="no detach")
    also = ("optimizer-params", "under-capacity", "bad-init", "graph-detached")
    frozen = put("init", "for p in list(model.parameters())[:-2]:\n    p.requires_grad = False\n")
    deep = where(modules, table, lambda r: r.depth >= 3 and r.width <= 64)
    yield Fault("frozen-params", "all-but-last", frozen, also=also, fits=deep, repair="leave the weights trainable")
    but_bias = put("init", "for p in model.parameters():\n    p.requires_grad = p.dim() == 1\n")
    yield Fault("frozen-params", "only-biases", but_bias, also=also, fits=modules, repair="leave the weights trainable")


def holders() -> Iterator[Fault]:
    """Optimizers that hold other weights, or are made again and again."""
    also = ("no-step", "frozen-params", "unregistered-params")
    last = swap("optimizer", "model.parameters()", "list(model.parameters())[-2:]")
    deep = where(modules, table, lambda r: r.depth >= 3 and r.width <= 64)
    yield Fault("optimizer-params", "last-layer", last, also=also, fits=deep, repair="give it model.parameters()")
    biases = swap("optimizer", "params, lr", "params[1::2], lr")
    by_hand = lambda r: r.style == "functional"
    yield Fault("optimizer-params", "only-biases", biases, also=also, fits=by_hand, repair="give it all of params")

    def other(script: Script) -> Script:
        if script.recipe.style != "class":
            return script.with_(imports=("import copy", *script.imports)).with_(
                schedule="model = copy.deepcopy(model)\n"
            )
        cast = ".double()" if script.recipe.dtype == "float64" else ""
        return script.with_(schedule=f"model = Net(){cast}\n")

    yield Fault(
        "optimizer-params", "other-model", other, also=also, fits=modules, repair="make the optimizer for this model"
    )

    def anew(script: Script) -> Script:
        cast = ".double()" if script.recipe.dtype == "float64" else ""
        optimizer = script.optimizer.strip()
        head = re.search(r"for epoch in range\(@epochs@\):\n", script.loop)
        if not head:
            raise NotHere("no loop over epochs")
        return script.swap("loop", head[0], f"{head[0]}    model = Net(){cast}\n    {optimizer}\n")

    also = ("lr-too-low", "optimizer-params")
    yield Fault(
        "optimizer-reset",
        "model-per-epoch",
        anew,
        also=also,
        fits=where(classy, lambda r: r.batch in (64, 512, 0)),
        repair="make both before the loop",
    )


def schedules() -> Iterator[Fault]:
    """Schedules that end the training early, or blow it up."""
    base = put("schedule", "scheduler = torch.optim.lr_scheduler.StepLR(optimizer, step_size=@half@, gamma=0.5)\n")

    def stepped(script: Script) -> Script:
        half = max(script.epochs // 2, 1)
        script = base(script).swap("schedule", "@half@", str(half))
        if "    if epoch %" in script.loop:
            return script.swap("loop", "    if epoch %", "    scheduler.step()\n    if epoch %")
        return script.swap("loop", "    if (epoch", "    scheduler.step()\n    if (epoch")

    moved = all_of(
        swap("loop", "    scheduler.step()\n", ""),
        swap("step", "optimizer.step()\n", "optimizer.step()\nscheduler.step()\n"),
    )

    def per_batch(script: Script) -> Script:
        return moved(script).with_(schedule=re.sub(r"step_size=\d+", "step_size=5", script.schedule))

    also, up = ("lr-too-low",), ("lr-too-high", "exploding-gradient")
    yield Fault("scheduler-misuse", "per-batch", per_batch, stepped, also, not_full, "step the schedule once per epoch")
    fast = lambda script: script.with_(
        schedule=re.sub(r"step_size=\d+, gamma=0.5", "step_size=1, gamma=0.1", script.schedule)
    )
    yield Fault("scheduler-misuse", "too-fast", fast, stepped, also, lambda r: r.batch in (64, 512, 0), "decay later")

    def grow(script: Script) -> Script:
        gamma = 10 ** (4 / script.epochs)
        return script.with_(
            schedule=re.sub(r"step_size=\d+, gamma=0.5", f"step_size=1, gamma={gamma:.2f}", script.schedule)
        )

    yield Fault(
        "scheduler-misuse", "growing", grow, stepped, up, lambda r: r.batch in (64, 512, 0), "a gamma below one"
    )


def modes() -> Iterator[Fault]:
    """train() and eval() left out."""
    dropped = layered(lambda ls: activated(ls, "nn.Dropout(0.75)"))
    fits = where(modules, on("table", "image"), lambda r: r.width >= 64 or r.about.input == "image")
    no_eval = swap("evaluate", "    model.eval()\n", "")
    also = ("excess-dropout", "metric-error")
    yield Fault("mode-error", "no-eval", no_eval, dropped, also, fits, "model.eval() before judging")

    def normed(script: Script) -> Script:
        wide = re.search(r", (\d+)\)", script.layers[0])
        if not wide:
            raise NotHere("no first linear layer")
        layers = (script.layers[0], f"nn.BatchNorm1d({wide[1]})", *script.layers[1:])
        return script.with_(layers=layers, units=script.units + "x = 5 * x + 9\n", prepare="")

    never = swap("loop", "    model.train()\n", "    model.eval()\n")
    also = ("batchnorm-misuse", "input-offset", "input-scale")
    fits = where(modules, table, lambda r: r.batch != 1)
    yield Fault("mode-error", "never-train", never, normed, also, fits, "model.train() before training")


def measures() -> Iterator[Fault]:
    """The training is right; the number, or the memory, is not."""
    also = ("target-shape", "mode-error")
    by_rows = swap("evaluate", ".argmax(1)", ".argmax(0)[:1]")
    yield Fault(
        "metric-error", "argmax-dim", by_rows, also=(*also, "softmax-dim"), fits=multi, repair="argmax over the classes"
    )
    rounded = swap("evaluate", "(output > 0).long()", "output.round().long()")
    yield Fault(
        "metric-error",
        "rounded-logits",
        rounded,
        also=(*also, "missing-activation"),
        fits=binary,
        repair="compare with 0",
    )
    column = swap("evaluate", "model(x_test).squeeze(1)", "model(x_test)")
    yield Fault(
        "metric-error", "broadcast", column, also=also, fits=on("binary", "number"), repair="squeeze the prediction"
    )
    counted = swap("evaluate", ".float().mean().item()", ".sum().item() / n_train")
    yield Fault(
        "metric-error", "divisor", counted, also=(), fits=on("binary", "multi"), repair="divide by the rows judged"
    )
    keeps = swap("loop", "total += loss.item()", "total += loss")
    yield Fault("loss-keeps-graph", "total", keeps, also=("metric-error",), repair="add loss.item()", shows=False)


def leaks() -> Iterator[Fault]:
    """Rows of the test part that stand in the training part, too."""
    hard = all_of(
        put("units", "x = x + 0.35 * rng.normal(size=x.shape)\n"),
        swap("tensors", "n_train = 1200\n", "n_train = int(len(x) * 0.75)\n"),
    )
    copies = "# more rows by repeating them\nx, y = np.repeat(x, 4, axis=0), np.repeat(y, 4)\n"
    mixed = put("units", f"{copies}mix = rng.permutation(len(x))\nx, y = x[mix], y[mix]\n")
    fits = where(multi, table, lambda r: r.batch in (8, 64) and r.width >= 64)
    also = ("metric-error", "overfitting")
    yield Fault("eval-leak", "repeated-rows", mixed, hard, also, fits, "split first, then repeat", inflates=True)


def aliases() -> Iterator[Fault]:
    """A state dict that is not a copy."""

    def kept(copied: str) -> Edit:
        def edit(script: Script) -> Script:
            if "    if epoch %" not in script.loop:
                raise NotHere("no place to keep the best")
            keep = (
                "    score = evaluate()\n    if score > best:\n"
                f"        best, best_state = score, {copied}\n    if epoch %"
            )
            script = script.swap("loop", "    if epoch %", keep).with_(imports=("import copy", *script.imports))
            load = f"{RESTART}{indented(script.step, '    ')}"
            return script.with_(
                schedule=script.schedule + "best, best_state = -1.0, None\n",
                report=f"{load}model.load_state_dict(best_state)\n{script.report}",
            )

        return edit

    base = kept("copy.deepcopy(model.state_dict())")
    alias = swap("loop", "copy.deepcopy(model.state_dict())", "model.state_dict()")
    fits = where(modules, lambda r: r.batch != 1)
    yield Fault("state-dict-alias", "best", alias, base, ("metric-error", "lr-too-high"), fits, "keep a deep copy")


def faults() -> Iterator[Fault]:
    """All of them."""
    for family in (rates, gradients, graphs, holders, schedules, modes, measures, leaks, aliases):
        yield from family()
