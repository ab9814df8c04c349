"""The tape: what a recorded run leaves behind, and its form on disk.

A tape folder holds `tape.json` (everything but numbers) and `tensors.safetensors`. It is written to a temporary folder
and renamed, so a tape is whole or absent; nothing in it is ever executed or unpickled.
"""

from __future__ import annotations

import json
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from unstuck.diagnosis.model import Site
from unstuck.tape.program import Program, restored, stored

if TYPE_CHECKING:
    from torch import Tensor

FORMAT = 1


class TapeError(Exception):
    """The folder does not hold a tape this version can read; the message is one line."""


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


class Optimizer(msgspec.Struct, frozen=True):
    """An optimizer as seen at its first step; `by hand` where the script updates its weights itself."""

    name: str
    groups: tuple[dict[str, Any], ...] = ()
    ours: bool = True
    """A class of torch.optim (or plain descent by hand), so that it can be built again."""
    held: int = 0
    """How many tensors it holds in all."""
    foreign: int = 0
    """How many of them no program ever reached."""
    clip: float | None = None
    """The largest gradient norm it was given, where the script clips by norm."""
    created: int = 1
    """How many optimizers that held the same weights stepped in turn, each built after the last step of another."""


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


class Update(msgspec.Struct, frozen=True):
    """One optimizer step: which, at what rate per group, and what lay before it."""

    optimizer: int
    after: int
    """How many recorded passes came before it."""
    rates: tuple[float, ...]
    norm: float | None = None
    """Norm of all gradients as the optimizer got them (sampled)."""
    closure: bool = False
    empty: bool = False
    """The optimizer found no gradient at all although a backward had come before (they had been cleared)."""
    fresh: bool = False
    """The first step of an optimizer that was built in the place of another: what that one had gathered is lost."""


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


class Tape(msgspec.Struct, kw_only=True):
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
    """Text of the person's own files, by path relative to the folder."""
    notes: tuple[str, ...] = ()
    seconds: float = 0.0
    facts: dict[str, Any] = {}
    """Smaller observations, each read by one rule (see record/)."""
    tensors: dict[str, Any] = {}
    """Tensors by key: `w:NAME` before the first step, `f:NAME` at the end, `t:N` from outside."""

    def start(self, name: str) -> Tensor:
        """A parameter before the first step."""
        return self.tensors[f"w:{name}"]

    def place(self, loss: int) -> int:
        """How many backwards of the run came before the one that left this loss (its number in `losses`)."""
        return loss + max(0, loss - len(self.passes)) * (self.late_every - 1)

    def _plain(self) -> dict[str, Any]:
        # Python's own json keeps NaN and infinity, which a recorded loss may well be.
        rest = {
            k: msgspec.to_builtins(getattr(self, k)) for k in self.__struct_fields__ if k not in ("tensors", "programs")
        }
        return {"unstuck_tape": FORMAT, **rest, "programs": [stored(p) for p in self.programs]}

    def save(self, folder: Path) -> None:
        """Write the tape, whole or not at all; replaces an earlier tape, never anything else."""
        from safetensors.torch import save_file

        folder = Path(folder)
        _may_replace(folder)
        folder.parent.mkdir(parents=True, exist_ok=True)
        scratch = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", dir=folder.parent))
        try:
            (scratch / "tape.json").write_text(json.dumps(self._plain()), encoding="utf-8")
            save_file({k: t.contiguous() for k, t in self.tensors.items()}, scratch / "tensors.safetensors")
            if folder.exists():
                shutil.rmtree(folder)
            scratch.replace(folder)
        finally:
            shutil.rmtree(scratch, ignore_errors=True)


def _may_replace(folder: Path) -> None:
    if folder.exists() and not (folder / "tape.json").exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise TapeError(f"{folder} exists and is not a tape; nothing was written")


def load(folder: Path) -> Tape:
    """Read a tape folder; raises TapeError (one line) for anything that is not a whole tape of this format."""
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    folder = Path(folder)
    try:
        raw = json.loads((folder / "tape.json").read_text(encoding="utf-8"))
        if not isinstance(raw, dict) or raw.pop("unstuck_tape", None) != FORMAT:
            raise TapeError(f"{folder}: not a tape of format {FORMAT}")
        programs = tuple(restored(p) for p in raw.pop("programs"))
        tape = msgspec.convert(raw, Tape)
        tape.programs = programs
        tape.tensors = load_file(folder / "tensors.safetensors")
    except FileNotFoundError as e:
        gone = Path(e.filename or "tensors.safetensors").name
        raise TapeError(f"{folder}: no tape here ({gone} is missing)") from None
    except (msgspec.MsgspecError, SafetensorError, ValueError, KeyError, TypeError, OSError) as e:
        raise TapeError(f"{folder}: the tape cannot be read: {str(e).splitlines()[0]}") from None
    _check(tape, folder)
    return tape


def _check(tape: Tape, folder: Path) -> None:
    missing = {key for p in (*tape.passes, *tape.late, *tape.evaluations) for key in p.outside} - tape.tensors.keys()
    missing |= {p.output for p in (*tape.passes, *tape.late, *tape.evaluations) if p.output} - tape.tensors.keys()
    missing |= {f"w:{p.name}" for p in tape.parameters} - tape.tensors.keys()
    if missing:
        raise TapeError(f"{folder}: the tape is cut short: {len(missing)} of its tensors are missing")
    if any(p.program >= len(tape.programs) for p in (*tape.passes, *tape.late, *tape.evaluations)):
        raise TapeError(f"{folder}: the tape names a program that it does not hold")
