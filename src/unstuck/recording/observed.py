"""What has been observed of a run so far, in memory, and the tape that is made of it."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from unstuck.recording.budget import Budget
from unstuck.recording.call_sites import CallSites
from unstuck.recording.constructions import LEAF, Constructions
from unstuck.recording.drawn import Drawn
from unstuck.recording.evaluations import Forwards, grouped
from unstuck.recording.exits import TensorExits
from unstuck.recording.first_values import fills
from unstuck.recording.lineage import Lineage
from unstuck.recording.loads_and_clips import LoadsAndClips
from unstuck.recording.loop_calls import LoopCalls
from unstuck.recording.lost_writes import LostWrites
from unstuck.recording.memory import peak
from unstuck.recording.modes import Modes
from unstuck.recording.notes import Notes
from unstuck.recording.optimizers import OptimizerObserver
from unstuck.recording.parameter_names import Names, is_weight
from unstuck.recording.predecessors import predecessor
from unstuck.recording.programs import Programs
from unstuck.recording.retained_graphs import RetainedGraphs
from unstuck.recording.row_orders import RowOrders
from unstuck.recording.sampling import Sampling
from unstuck.recording.settings_read import SettingsRead
from unstuck.recording.sharding import Sharding
from unstuck.recording.snapshots import Size
from unstuck.recording.tensor_store import LIMIT, TensorStore
from unstuck.recording.tracer import Entry, Tracer, tensors
from unstuck.recording.trained_in import TrainedIn
from unstuck.recording.unread import UnreadValues
from unstuck.recording.vocabularies import Vocabularies
from unstuck.tape.model import Command, Facts, Graphs, Parameter, Pass, Rank, Tape

LEAST = 32 * 2**20
"""Bytes of tensors that the tape of each of many ranks may hold all the same."""


def process_place() -> Rank | None:
    """This process's rank in the process group of torch.distributed, which is asked nothing that the others notice."""
    group = torch.distributed
    if not group.is_available() or not group.is_initialized() or group.get_world_size() < 2:
        return None
    return Rank(group.get_rank(), group.get_world_size())


class Observed:
    """The parts that observe, each with what it holds. `marks` are the torch functions that the recorder takes over."""

    def __init__(self, folder: Path, marks: dict[Any, Callable[..., Any]]) -> None:
        self.notes = Notes()
        self.call_sites = CallSites(folder)
        self.trained_in = TrainedIn(self.call_sites)
        self._seed = torch.initial_seed()
        theirs = lambda file: self.call_sites.relative(file) is not None
        self.vocabularies = Vocabularies(theirs, self.notes.failure("what names the token ids"))
        self.settings = SettingsRead(folder)
        self.constructions = Constructions(
            self.call_sites.sites, self.notes.failure("a construction"), lambda: self.tracer.entries
        )
        self.store, self.names, self.optimizers = TensorStore(), Names(), OptimizerObserver(self.constructions)
        self.modes = Modes(self.names)
        self.graphs = RetainedGraphs()
        self.exits = TensorExits(self.call_sites, lambda: len(self.passes), self.notes.failure("a printed number"))
        noted = self.notes.failure("a call of the training loop")
        self.loop_calls = LoopCalls(self.call_sites.sites, lambda: len(self.passes), self.names, noted)
        self.row_orders = RowOrders(self.call_sites.sites)
        marks = {**self.exits.marks, **self.loop_calls.marks, **marks, LEAF: self.constructions.asked}
        self.lost_writes = LostWrites(
            self.call_sites.sites, lambda t: id(t) in self.tracer.made, self.notes.failure("an assignment")
        )
        marks |= self.row_orders.marks | self.lost_writes.marks
        self.tracer = Tracer(marks, partial(self.call_sites.sites, 3), self.notes)
        self.loop_calls.watched = marks
        self.tracer.wrote = self.constructions.wrote
        self.tracer.spill = self.spill
        self.tracer.orders = self.row_orders
        self.lineage = self.tracer.lineage = Lineage(self.call_sites)
        self.unread = self.tracer.unread = UnreadValues(self.call_sites, lambda: len(self.passes))
        self.drawn = self.tracer.drawn = Drawn(self.call_sites, lambda: len(self.passes))
        self.exits.tracer = self.tracer
        self.programs = Programs(self.names, self.is_weight)
        failed = self.notes.failure("a forward pass without a backward")
        self.forwards = Forwards(self.store, self.programs.kept, self.programs.cut, failed)
        self.passes: list[Pass] = []
        self.loads_and_clips = LoadsAndClips(
            self.call_sites.sites, lambda: len(self.passes), lambda: self.optimizers.since_backward,
            lambda weight: weight in self.names, self.constructions.loaded, self.notes.failure("a load or a clip"),
        )  # fmt: skip
        self.losses: list[float] = []
        self.rank: Rank | None = None
        """The process's place among those that train together, once that is known."""
        self.sharding = Sharding()

    def place(self) -> None:
        """Before a step: find out whether other processes train with this one."""
        if self.rank is None and (place := process_place()) is not None:
            self.rank = place
            self.store.limit = max(LIMIT // place.world, LEAST)  # all ranks' tapes together are as large as one

    def is_weight(self, tensor: Tensor) -> bool:
        """Whether training may change a tensor."""
        # A bare leaf that first shows up late is an input that asks for its own gradient, not a weight, unless an
        # optimizer holds it or it takes a weight's place.
        if not is_weight(tensor):
            return False
        if tensor in self.names or not self.passes:
            return True
        if (found := predecessor(tensor, self.tracer, self.names)) is not None:
            old, calls = found
            self.names.follow(old, tensor)
            self.tracer.writes.write([tensor])
            self.tracer.drop(calls)
            return True
        return isinstance(tensor, torch.nn.Parameter) or self.optimizers.holds(tensor)

    def follow(self, entries: list[Entry]) -> None:
        """Where no optimizer of torch steps: see which weights of a forward have taken the place of others."""
        if self.passes and not self.optimizers.stepped:
            for tensor in tensors([(e.args, e.kwargs) for e in entries]):
                self.is_weight(tensor)

    def meet(self, weights: list[Tensor]) -> None:
        """Keep the first values of weights that are seen for the first time, before any step changes them."""
        self.tracer.writes.know(weights)
        for weight in weights:
            key = f"w:{self.names.of(weight)}"
            if key not in self.store.tensors:
                self.store.put(key, weight)
                self.optimizers.meet(weight, self.names)

    def wrote(self, weights: list[Tensor], func: Any = None, args: Any = (), kwargs: Any = None) -> None:
        """After the first step, values were written to weights: those of a new network may be its first ones."""
        new = [weight for weight in weights if weight not in self.names]
        if new and fills(func):
            self.constructions.wrote(new, func, args, kwargs)
        elif new:  # an average of the weights is written to in every step: its lines are not looked for
            self.constructions.values.wrote(new, func, args, kwargs)

    def evaluate(self, inside: set[int]) -> None:
        """Keep the forwards among the calls since the last step that are not `inside` (ids of entries) a backward's."""
        if self.sharding.look(self.tracer.entries):
            return
        for number in self.forwards.look(self.tracer.entries, inside, len(self.passes), self.programs.trained):
            self.meet(self.programs.weights(number))

    def follow_exits(self, inside: set[int], begun: Sequence[Entry] = ()) -> None:
        """The calls are let go of: find what the numbers that left were computed from; `begun`: the next forward."""
        places = self.forwards.places | {id(entry): len(self.forwards.kept) for entry in begun}
        self.exits.resolve(self.tracer.entries, inside, places, len(self.passes))

    def spill(self) -> None:
        """Keep the whole forwards among the calls without gradients, as an evaluation, and let go of what they made."""
        calls = self.tracer.entries
        whole = {id(entry) for group in grouped([e for e in calls if not e.grad])[:-1] for entry in group}
        rest = [entry for entry in calls if id(entry) not in whole]
        if whole:
            self.evaluate({id(entry) for entry in rest})
            self.follow_exits(set(), rest)
            self.tracer.keep(rest)

    def leftovers(self) -> None:
        """Keep what is in the tracer where no backward will follow, and empty it."""
        self.evaluate(set())
        self.follow_exits(set())
        self.optimizers.between(self.tracer.writes, self.names, len(self.passes))
        self.tracer.clear()

    def _device(self) -> str:
        """Where most of the weights are."""
        sizes: dict[str, int] = {}
        for _, tensor in self.names.all():
            sizes[str(tensor.device)] = sizes.get(str(tensor.device), 0) + tensor.numel()
        return max(sizes, key=lambda device: sizes[device], default="cpu")

    def printed(self, line: str) -> None:
        """The script printed a line."""
        left = self.exits.printed()
        self.forwards.sayings.add(len(self.tracer.entries), line, self.call_sites.sites(1), left)

    def tape(
        self,
        script: str,
        stopped: str,
        sampling: Sampling,
        budget: Budget,
        error: dict[str, Any] | None = None,
        command: Command | None = None,
    ) -> Tape:
        """Everything observed, as a tape. `sampling` holds the rest of a run that did not fit."""
        self.call_sites.relative(str(self.call_sites.folder / script))
        self.call_sites.imported()
        parameters = self.optimizers.parameters(self.names, set(self.store.tensors))
        return Tape(
            script=script,
            folder=str(self.call_sites.folder),
            torch=torch.__version__.partition("+")[0],
            stopped=stopped,
            programs=tuple(self.programs.kept),
            parameters=parameters,
            optimizers=self.optimizers.optimizers(),
            passes=tuple(self.programs.lifted(p, self.store.keep) for p in self.passes),
            updates=self.optimizers.updates(),
            evaluations=tuple(self.forwards.kept),
            said=self.forwards.said(),
            steps=self.optimizers.steps,
            losses=(*self.losses, *(loss for _, loss in sampling.losses)),
            late_every=sampling.losses.every,
            late=tuple(p for _, p in sampling.batches),
            late_at=tuple(len(self.losses) + place for place, _ in sampling.batches),
            error=error,
            sources=self.call_sites.texts() | self.settings.texts,
            notes=tuple(self.notes.lines),
            seconds=budget.passed(),
            facts=self._facts(command, sampling, budget, parameters),
            tensors=self.store.tensors | sampling.store.tensors | self._final(),
        )

    def _facts(
        self, command: Command | None, sampling: Sampling, budget: Budget, parameters: tuple[Parameter, ...]
    ) -> Facts:
        return Facts(
            command,
            Graphs(self.graphs.most, self.graphs.steps),
            tuple(rates for _, rates in sampling.rates),
            cut_by=budget.cut_by,
            trained=budget.trained,
            trained_in=() if sampling.losses.seen else self.trained_in.found(),
            modes=tuple(self.modes.changes),
            device=self._device(),
            memory=max(0, peak() - self.store.bytes - sampling.store.bytes),
            rank=self.rank,
            sharded=self.sharding.kind,
            processes=self.sharding.said(),
            loads=tuple(self.loads_and_clips.loads),
            clippings=tuple(self.loads_and_clips.clips),
            calls=self.loop_calls.kept(self.optimizers.number, {p.name: p.optimizer for p in parameters}),
            vocabularies=self.vocabularies.found,
            exits=self.exits.kept(),
            row_orders=self.row_orders.kept(),
            unread=self.unread.kept(),
            lost_writes=self.lost_writes.kept(),
            drawn_again=self.drawn.kept(),
            prepared=self.lineage.kept(),
            written=self.lineage.written(),
            crossed=self.lineage.crossed.kept(),
            coarse=self.lineage.coarse.kept(),
            relabelled=self.lineage.relabelled.kept(),
            seeded=torch.initial_seed() != self._seed,
            ended=time.time(),
        )

    def size(self) -> Size:
        """How much there is to write."""
        items = len(self.passes) + len(self.forwards.kept)
        weights = sum(t.numel() * t.element_size() for _, t in self.names.all())
        return Size(items, len(self.store.tensors), self.store.bytes, weights)

    def _final(self) -> dict[str, Tensor]:
        """Copies of the weights as they are now."""
        known = ((name, t) for name, t in self.names.all() if f"w:{name}" in self.store.tensors)
        return {f"f:{n}": t.detach().cpu().clone(memory_format=torch.contiguous_format) for n, t in known}
