"""The tape: what a recorded run leaves behind, as plain data. `unstuck.tape.files` writes and reads it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec

from unstuck.tape.found_lines import Coarse, Crossed, DrawnAgain, LostWrite, Prepared, Relabelled, Unread, Written
from unstuck.tape.notebook import Notebook
from unstuck.tape.program import Program
from unstuck.tape.site import Site

if TYPE_CHECKING:
    from torch import Tensor


class Parameter(msgspec.Struct, frozen=True):
    """One tensor that a program reads as a weight."""

    name: str
    shape: tuple[int, ...]
    dtype: str
    trainable: bool
    """requires_grad at the first backward."""
    optimizer: int = -1
    """Which optimizer holds it (-1: none)."""
    group: int = 0
    owner: str = ""
    """The class of the module that owns it ("" for a bare tensor)."""
    root: str = ""
    """The name, in the script, of the outermost module that holds it ("" where it has none)."""
    buffer: bool = False
    made: Site | None = None
    """Where the person's code constructed the layer that owns it (None where that was not seen)."""
    valued: Site | None = None
    """The last line that set its values before the first step (None where that was not seen)."""
    unfrozen: bool = False
    """Not trainable at the first backward, and trainable when the recording ended."""
    fresh: bool = False
    """Its first values come from numbers alone (an initialisation): nothing was loaded or copied into it after that."""
    loaded: Site | None = None
    """The last line that loaded values into it before the first step (None where none did)."""


class Optimizer(msgspec.Struct, frozen=True):
    """An optimizer as seen at its first step; `by hand` where the script updates its weights itself.

    What it does may be seen from its updates only: then `alike` says which rule they follow.
    """

    name: str
    groups: tuple[dict[str, Any], ...] = ()
    ours: bool = True
    """A class of torch.optim, or `alike` one, so that it can be built again."""
    held: int = 0
    """How many tensors it holds in all."""
    foreign: int = 0
    """How many of them no program ever reached."""
    clip: float | None = None
    """The largest gradient norm it was given, where the script clips by norm."""
    created: int = 1
    """How many optimizers that held the same weights stepped in turn, each built after the last step of another."""
    made: Site | None = None
    """Where the person's code constructed it (None where that was not seen)."""
    alike: str = ""
    """The class of torch.optim that makes the same updates with these groups, where it is none itself."""
    site: Site | None = None
    """Where it writes to its weights, where no class of torch's does that."""

    @property
    def kind(self) -> str:
        """The name of the class of torch.optim that makes its updates, where there is one."""
        return self.alike or self.name


class Pass(msgspec.Struct, frozen=True):
    """One backward: which program, which tensors stood in its slots, the loss, and gradients left from before."""

    program: int
    outside: tuple[str, ...]
    loss: float
    stale: tuple[str, ...] = ()
    """The weights it reaches that still held a gradient when it began."""
    output: str = ""
    """What the loss was given as the network's output ("" where that is not known)."""
    gradient: tuple[float, ...] = ()
    """Norm per weight of the program, in its order, after the backward (sampled; empty where not taken)."""
    error: str = ""
    """What the backward raised ("" where it went through)."""
    random: int = 0
    """A checksum of the state of torch's random numbers on the CPU when it began (0 where not taken)."""
    handed: bool = False
    """Its gradients were handed to the script (`torch.autograd.grad`), and stand in no weight."""


class Update(msgspec.Struct, frozen=True):
    """One optimizer step: which, at what rate per group, and what lay before it."""

    optimizer: int
    after: int
    """How many recorded passes came before it."""
    rates: tuple[float, ...]
    norm: float | None = None
    """Norm of all gradients as the optimizer got them (sampled)."""
    closure: bool = False
    """The optimizer evaluates its closure more than once, or at other weights than those that it steps from. A closure
    that is evaluated once makes its backward, and then the step is an ordinary one after it."""
    empty: bool = False
    """The optimizer found no gradient at all although a backward had come before (they had been cleared)."""
    fresh: bool = False
    """The first step of an optimizer that was built in the place of another: what that one had gathered is lost."""
    evaluations: int = 0
    """With `closure`: how many of the passes after `after` were made inside the step."""


class Evaluation(msgspec.Struct, frozen=True):
    """One forward that no backward followed: a validation batch, a test, a look at the model."""

    after: int
    """How many recorded passes came before it."""
    program: int
    outside: tuple[str, ...]
    grad: bool
    output: str = ""
    """What the network gave: the value that the training hands to its loss ("" where that is not known)."""


class Said(msgspec.Struct, frozen=True):
    """One line with a number in it that the script printed."""

    after: int
    """How many recorded passes came before it."""
    evaluations: int
    """How many evaluations on the tape came before it."""
    seen: int
    """How many forwards without a backward came before it, on the tape or not (-1: nobody counted any more)."""
    line: str
    site: Site | None = None
    left: int = -1
    """How many numbers had left tensors for Python before it (-1: nobody counted)."""


class Exit(NamedTuple):
    """A number that left a tensor for Python (`item`, `float`, `numpy`, ...)."""

    order: int
    """Its place among all that left."""
    number: int
    """Its place among those that left at the same line."""
    value: float
    """NaN where several numbers left at once."""
    total: float
    """The sum of all finite ones at that line, this one included."""
    after: int
    """How many recorded passes came before it."""
    first: int
    """The first and the last evaluation on the tape that its tensor depends on (-1: none) ..."""
    last: int
    step: int
    """... and the last training step that it depends on (-1: none)."""
    size: int
    """Numbers that left at once."""


class Exits(msgspec.Struct, frozen=True):
    """The numbers that left tensors at one line of the script: the first ones, the last ones, and those that stood last
    when a line was printed."""

    site: Site | None
    count: int
    """How many left there in all."""
    kept: tuple[Exit, ...]


class Command(msgspec.Struct, frozen=True):
    """How the script was run, so that a patched one can be run in the same way."""

    path: str | None
    """The script as it was given; None where a module was."""
    module: str | None
    args: tuple[str, ...]
    cwd: str
    steps: int
    """The recording's budget: optimizer steps at most, and seconds of training, ..."""
    seconds: float
    environment: tuple[tuple[str, str], ...] = ()
    """Variables of the environment that are numbers and whose name occurs in the person's files."""
    least: int = 0
    """... but not before so many optimizer steps, ..."""
    longest: float = 3600.0
    """... and seconds since the first backward, pauses included."""


class Rank(NamedTuple):
    """The place of a process among those that train together."""

    rank: int
    world: int
    """How many processes there are."""


class Ranks(NamedTuple):
    """The processes whose recordings a merged tape holds."""

    world: int = 1
    """How many processes trained together."""
    merged: int = 1
    """Of how many each batch on the tape holds the rows; the loss is their mean."""
    local: int = 1
    """How many of them ran on this machine."""


class Graphs(NamedTuple):
    """Autograd graphs of past steps."""

    most: int = 0
    """Alive at the same moment."""
    steps: int = 0
    """Steps, from the first on, whose graphs were counted."""


class Mode(NamedTuple):
    """From some backward on: how many of the modules that own the step's weights are in training mode."""

    after: int
    """How many recorded passes came before it."""
    program: int
    training: int
    modules: int


class Load(msgspec.Struct, frozen=True):
    """Weights given to a module: `module.load_state_dict(...)`."""

    after: int
    """How many recorded passes came before it."""
    site: Site | None
    held: int
    """Tensors of the module."""
    given: int
    """Entries of what it was given."""
    own: int
    """Of these, those that are the module's own tensors: they change nothing."""
    fresh: bool
    """No forward that is on the tape has used the module's weights before."""
    missing: tuple[tuple[str, tuple[int, ...]], ...] = ()
    """Names and shapes of the module's tensors that were not given."""
    unexpected: tuple[tuple[str, tuple[int, ...]], ...] = ()
    """The same for entries that the module has no name for; shape () for what is no tensor."""


class Clip(msgspec.Struct, frozen=True):
    """Gradients clipped by a function of torch.nn.utils."""

    after: int
    """How many recorded passes came before it."""
    site: Site | None
    name: str
    bound: float
    """The largest norm, or the largest number."""
    norm: float | None
    """The norm before; None where the function does not tell it."""
    late: bool
    """An optimizer had stepped since the last backward, or there was none yet."""


class LoopCall(msgspec.Struct, frozen=True):
    """A call that clears gradients, runs a backward, or steps an optimizer."""

    kind: str
    """"clear", "backward" or "step"."""
    sites: tuple[Site, ...]
    """The person's frames that were under way, the innermost first."""
    order: int
    """Its number among all such calls of the run, from 1 on."""
    after: int
    """How many recorded passes came before it."""
    optimizer: int = -1
    """Which optimizer stepped; of a clearing, the one that holds all that was cleared (-1: several, or not known)."""

    @property
    def site(self) -> Site | None:
        """The line of the person's that made the call; None where no frame of theirs was under way."""
        return self.sites[0] if self.sites else None


class RowOrder(NamedTuple):
    """What enters a program in an order of its rows that its steps draw, and that nothing else in them has."""

    program: int
    slot: int
    site: Site | None
    """Where the rows are put into that order."""
    passes: int
    """In how many passes of the program."""
    other: Site | None = None
    """Where another slot gets rows in an order of its own, and both are mixed with the rows as they come."""


class Vocabulary(NamedTuple):
    """A dict, a list or a string of the script that gives texts to the rows of a table of weights."""

    name: str
    texts: tuple[tuple[int, str], ...]
    """Id and text, by id."""


class Facts(msgspec.Struct, frozen=True):
    """Smaller observations, each read by one rule or one kind of experiment. A tape without one has its default."""

    command: Command | None = None
    graphs: Graphs = Graphs()
    late_rates: tuple[tuple[float, ...], ...] = ()
    """Once the tape was full: (number of the optimizer step, learning rate of each group), evenly spread."""
    cut_by: str = ""
    """What ended the recording before the script's own end: "steps" or "seconds" of the budget, "interrupt" (Ctrl-C),
    or "signal" (the process ended at once, and the tape is its last snapshot); "" for nothing."""
    trained: float = 0.0
    """Seconds of training that were recorded, long pauses left out."""
    trained_in: tuple[tuple[str, str], ...] = ()
    """The person's functions (file, qualified name) that were on the stack of some backward; empty where not all
    backwards were seen."""
    modes: tuple[Mode, ...] = ()
    """Of each program at its first backward, and wherever it is found in other modes than before."""
    notebook: Notebook | None = None
    """The notebook that the run was, if it was one: `sources` hold its cells as one Python text."""
    device: str = "cpu"
    """Where the script trained: the device of most of its weights."""
    memory: int = 0
    """Bytes that its process held at most, without what the recording held; 0 where that is not known."""
    rank: Rank | None = None
    """The process's place in the process group of torch.distributed; None where there is none."""
    sharded: str = ""
    """Why the weights on the tape are parts of the model's ("" where they are whole)."""
    ranks: Ranks = Ranks()
    processes: tuple[str, ...] = ()
    """What is to be said of the processes of the run: which were recorded, which were not, and what they show."""
    loads: tuple[Load, ...] = ()
    """The first times that weights were loaded."""
    clippings: tuple[Clip, ...] = ()
    """The first times that gradients were clipped."""
    calls: tuple[LoopCall, ...] = ()
    """The first calls that clear, compute and spend gradients; those that follow each other at one line are one."""
    vocabularies: tuple[Vocabulary, ...] = ()
    """What may name the ids that the step looks up in a table."""
    exits: tuple[Exits, ...] = ()
    """By line, the numbers that left tensors for Python."""
    row_orders: tuple[RowOrder, ...] = ()
    """What the steps of a program put into a random order on its own."""
    unread: tuple[Unread, ...] = ()
    """What the first steps made for nothing."""
    lost_writes: tuple[LostWrite, ...] = ()
    """What assigns to a tensor that is thrown away."""
    drawn_again: tuple[DrawnAgain, ...] = ()
    """What draws again what another line has drawn and acted on."""
    prepared: tuple[Prepared, ...] = ()
    """What the first batches went through, by program and slot, the last call first."""
    crossed: tuple[Crossed, ...] = ()
    """What joined data with their reduction along another axis."""
    coarse: tuple[Coarse, ...] = ()
    """What computed with numbers that single precision has rounded to few different ones."""
    relabelled: tuple[Relabelled, ...] = ()
    """What reshaped data to the same lengths in another order."""
    written: tuple[Written, ...] = ()
    """What the first batches were written by, place by place."""
    seeded: bool = True
    """The script has set a seed of torch's random numbers: another run of it draws the same."""
    ended: float = 0.0
    """When the recording ended, in seconds since the epoch: which of several processes failed first."""


class Tape(msgspec.Struct, kw_only=True, weakref=True):
    """A recorded run."""

    script: str
    """The script's path as it was given."""
    folder: str
    """The folder that holds the person's sources."""
    torch: str
    stopped: str
    programs: tuple[Program, ...] = ()
    parameters: tuple[Parameter, ...] = ()
    optimizers: tuple[Optimizer, ...] = ()
    passes: tuple[Pass, ...] = ()
    updates: tuple[Update, ...] = ()
    evaluations: tuple[Evaluation, ...] = ()
    said: tuple[Said, ...] = ()
    """The last lines with numbers that it printed, in order."""
    steps: int = 0
    """Optimizer steps seen, recorded in full or not."""
    losses: tuple[float, ...] = ()
    """The losses of the run: of every recorded pass, and of the rest as many as there is room for, evenly spread."""
    late_every: int = 1
    """Of the rest, one loss in so many."""
    late: tuple[Pass, ...] = ()
    """Passes watched here and there once the tape was full; with nothing between them there is no replaying these."""
    late_at: tuple[int, ...] = ()
    """How many backwards of the run came before each of them."""
    error: dict[str, Any] | None = None
    """type, message and sites of the exception that ended the script."""
    sources: dict[str, str] = {}
    """Text of the person's own files, by path relative to the folder: code, and the settings files that it read."""
    notes: tuple[str, ...] = ()
    seconds: float = 0.0
    facts: Facts = Facts()
    tensors: dict[str, Any] = {}
    """Tensors by key: `w:NAME` before the first step, `f:NAME` at the end, `t:N` from outside."""

    @property
    def cut(self) -> bool:
        """Whether the run would have gone on: it did not reach its own end, nor fail by itself."""
        return self.stopped == "budget" or bool(self.facts.cut_by)

    def start(self, name: str) -> Tensor:
        """A parameter before the first step."""
        return self.tensors[f"w:{name}"]

    def place(self, loss: int) -> int:
        """How many backwards of the run came before the one that left this loss (its number in `losses`)."""
        return loss + max(0, loss - len(self.passes)) * (self.late_every - 1)
