"""Train a user's `nn.Module`. Needs torch.

The module gets the same inputs as the built-in networks, (b, inputs) float32 in standardised units, and returns logits
or numbers. Row order, held-out rows, schedule and early stopping are the same too. It runs with its own random state,
seeded once; the user's random state is unchanged.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import nn

from unstuck.tabular.fit.batches import InMemory, Rows, Split
from unstuck.tabular.fit.conformal import Conformal
from unstuck.tabular.fit.encoder import Encoder
from unstuck.tabular.fit.floors import compared
from unstuck.tabular.fit.frame import Frame
from unstuck.tabular.fit.linear import linear
from unstuck.tabular.fit.loss import Loss
from unstuck.tabular.fit.model import Unseen, Watch, prepared
from unstuck.tabular.fit.module_making import made
from unstuck.tabular.fit.module_training import Batch, Plan, advance, judged, optimizer, rate_of, shaped, train
from unstuck.tabular.fit.network import with_one
from unstuck.tabular.fit.online import BATCH, RATE, Pace
from unstuck.tabular.fit.options import Options
from unstuck.tabular.fit.resources import Resources
from unstuck.tabular.fit.separation import Separation
from unstuck.tabular.fit.stage import PLAIN, averaged, batch_of
from unstuck.tabular.fit.task import Numbers, Task

Array = np.ndarray
EPOCHS = 100
"""Maximum; early stopping usually ends the training long before."""
ANSWERED = 4096
"""Rows per prediction batch."""


@dataclass(frozen=True, eq=False)
class ModuleModel:
    """A fitted module, or several in parallel; same interface as `unstuck.tabular.fit.model.Model`."""

    encoder: Encoder
    task: Task
    nets: tuple[nn.Module, ...]
    notes: tuple[str, ...] = ()
    unseen: Unseen | None = None
    conformal: Conformal | None = None

    def answers(self, frame: Frame) -> Array:
        """Predictions (n, k) float64: probabilities of classes or labels, or numbers in the target's units."""
        x = self.encoder.encode(frame, PLAIN)
        every = np.stack([answers(net, x, self.task.loss) for net in self.nets])
        return self.task.decode(every.mean(axis=0, dtype=np.float64).astype(np.float32))


def answers(net: nn.Module, x: Array, loss: Loss) -> Array:
    """Predictions of a net for x (n, d): (n, outputs) float32. Computed in float64 if possible, so that the prediction
    for a row does not depend on the other rows of the batch."""
    parts = torch.from_numpy(x).split(ANSWERED)
    with torch.no_grad():
        try:
            wide = deepcopy(net).double().eval()
            z = [shaped(wide(part.double()), loss) for part in parts]
        except RuntimeError:  # the module creates tensors of a fixed type
            z = [shaped(net.eval()(part), loss) for part in parts]
    return loss.answers(torch.cat(z).double().numpy()).astype(np.float32)


@dataclass(frozen=True)
class ByTorch:
    """Trains `module`: an nn.Module, or a function of (inputs, outputs) that returns one."""

    module: Any
    device: str

    def learn(
        self, frame: Frame, y: Array, task: Task, options: Options, weights: Array | None,
        watch: Watch, before: ModuleModel | None = None, resources: Resources | None = None,
        separation: Separation | None = None,
    ) -> ModuleModel:  # fmt: skip
        """Train to the end, starting from the weights of `before` if given."""
        encoder = before and before.encoder
        context, found = prepared(frame, y, task, options, weights, watch, None, encoder, separation)
        lanes = len(before.nets) if before else context.lanes(1)
        rows, split = context.rows(PLAIN, lanes), context.split(lanes)
        size, notes = batch_of(options, split.train.shape[1]), before.notes if before else ()
        with _dice(options.seed, self.device):
            nets = self._copies(before.nets) if before else self._made(rows, task, lanes)
            ways = [Split(_lane(split.train, i), _lane(split.held, i)) for i in range(lanes)]
            per_lane = [InMemory(rows, way, size, options.seed) for way in ways]
            rate = options.rate or rate_of(nets[0], per_lane[0], task.loss, self.device)
            plan = Plan(options, rate, options.epochs or EPOCHS, self.device, before is not None)
            for net, batches in zip(nets, per_lane, strict=True):
                train(net, batches, task.loss, plan, watch)
        nets = tuple(net.cpu() for net in nets)
        told = [answers(net, rows.x[way.held[0], :-1], task.loss) for net, way in zip(nets, ways, strict=True)]
        held, out = averaged(np.concatenate([way.held[0] for way in ways]), np.concatenate(told))
        unseen = Unseen(found.order[held], task.decode(out), found.rows[held])
        floor = None if context.few(lanes) else linear(context, lanes)
        conformal = None
        if isinstance(task, Numbers) and floor is not None:
            conformal = Conformal.of(task.decode(context.y[held]) - unseen.answers, unseen.counts)
        notes = notes or (f"learning rate {rate:.2g}",)
        if floor is not None:
            notes += tuple(compared(context, held, out, floor.of(held)))
        return ModuleModel(context.encoder, task, nets, notes, unseen, conformal)

    def begin(self, frame: Frame, y: Array, task: Task, options: Options, weights: Array | None = None) -> ModuleModel:
        """A model at its initial weights, with its columns measured on these rows."""
        encoded = task.encode(y)
        encoder = Encoder.of(frame, weights, np.abs(encoded.reshape(len(y), -1)))
        rows = Rows(with_one(encoder.encode(frame, PLAIN)), encoded)
        with _dice(options.seed, self.device):
            nets = self._made(rows, task, options.lanes or 1)
        return ModuleModel(encoder, task, tuple(net.cpu() for net in nets))

    def follow(
        self, model: ModuleModel, pace: Pace, frame: Frame, y: Array, options: Options, weights: Array | None = None
    ) -> tuple[ModuleModel, Pace, float]:
        """The model after one pass over some rows, and its loss on them before."""
        w = None if weights is None else weights.astype(np.float32)
        rows, loss = Rows(with_one(model.encoder.encode(frame, PLAIN)), model.task.encode(y), w), model.task.loss
        nets, costs = self._copies(model.nets), []
        adams = [optimizer(net, options.decay) for net in nets]
        for adam, state in zip(adams, pace.adams, strict=False):
            adam.load_state_dict(state)
        every = Batch.of(rows.take(np.arange(len(rows))[None]), self.device)
        with _dice(options.seed + pace.calls, self.device):
            for net, adam in zip(nets, adams, strict=True):
                costs.append(judged(net, every, loss))
                for part in torch.randperm(len(rows)).split(options.batch or BATCH):
                    here = Batch.of(rows.take(part.numpy()[None]), self.device)
                    advance(net, adam, here, loss, options.rate or RATE)
        states = tuple(deepcopy(adam.state_dict()) for adam in adams)
        nets = tuple(net.cpu() for net in nets)
        return (
            replace(model, nets=nets, unseen=None, conformal=None),
            Pace(pace.calls + 1, states),
            float(np.mean(costs)),
        )

    def restored(self, encoder: Encoder, task: Task, states: list[dict[str, Array]]) -> ModuleModel:
        """A model of rebuilt networks with saved weights. Raises RuntimeError if the weights do not fit."""
        x = torch.zeros(4, encoder.width(PLAIN))
        with _dice(0, "cpu"):
            nets = made(self.module, x, task.loss, len(states))
        for net, state in zip(nets, states, strict=True):
            net.load_state_dict({name: torch.from_numpy(np.array(value)) for name, value in state.items()})
        return ModuleModel(encoder, task, tuple(nets))

    def _made(self, rows: Rows, task: Task, lanes: int) -> list[nn.Module]:
        return [net.to(self.device) for net in made(self.module, torch.from_numpy(rows.x[:4, :-1]), task.loss, lanes)]

    def _copies(self, nets: tuple[nn.Module, ...]) -> list[nn.Module]:
        return [deepcopy(net).to(self.device) for net in nets]


def _lane(index: Array, lane: int) -> Array:
    return index[min(lane, len(index) - 1)][None]


@contextmanager
def _dice(seed: int, device: str) -> Iterator[None]:
    """Seed torch's random state, and restore it afterwards."""
    place = torch.device(device)
    with torch.random.fork_rng([place] if place.type == "cuda" else []):
        torch.default_generator.manual_seed(seed)
        if place.type == "cuda":
            with torch.cuda.device(place):
                torch.cuda.manual_seed(seed)
        yield
