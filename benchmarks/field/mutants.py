"""One mistake at a time in published programs: is it found, at its line, and is the program mended?

    python -m benchmarks.field.mutants MANIFEST --scratch DIR [--only PROGRAM,...] [--operators NAME,...]
                                       [--hurting N] [--seed S] [--limit SECONDS] [--out ROWS.jsonl] [--keep DIR]
                                       [-- OPTIONS OF unstuck run]
    python -m benchmarks.field.mutants --table ROWS.jsonl

Programs of the manifest with a `score` are changed by every operator of `operators.py` that finds a place in them. A
mutant that fails, or whose result is not worse than the program's own by more than its `margin`, is set aside. Those
that hurt are run under `unstuck run`; its patch, if any, is applied to the mutant and that is run again.

The programs take turns, each until one of its mutants has hurt, N of them at most; S draws each one's order of
operators. A mutant whose row is in ROWS.jsonl is not run again, and counts. DIR keeps each examined mutant's diff, what
was printed under the tool, and the diagnosis.
"""

from __future__ import annotations

import argparse
import difflib
import json
import math
import random
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from benchmarks.field import measured, programs
from benchmarks.field.__main__ import chosen, split
from benchmarks.field.mutant_rows import Row, fate, hurts, near, read, tables
from benchmarks.field.operators import OPERATORS, Mutant, Operator
from benchmarks.field.programs import Program
from benchmarks.field.trial import under_tool

SLOWER = 5.0
"""Times the program's own seconds after which a mutant counts as failed."""


def mutated(program: Program, mutant: Mutant) -> Callable[[Path], None]:
    """What puts a mutant into a copy of its program."""

    def prepare(folder: Path) -> None:
        (folder / (program.mutated or program.argv[0])).write_text(mutant.text)

    return prepare


@dataclass(frozen=True)
class Terms:
    """How mutants are tried."""

    scratch: Path
    limit: float = 600.0
    """Seconds of a run under the tool."""
    options: tuple[str, ...] = ()
    names: tuple[str, ...] = ()
    """Operators; all where none is named."""
    hurting: int | None = None
    """Mutants of one program to examine at most."""
    seed: int | None = None
    """Draws the order of operators; as they are listed where there is none."""
    done: tuple[Row, ...] = ()
    """Mutants that are not run again."""
    keep: Path | None = None


def order(program: str, terms: Terms) -> list[Operator]:
    """The operators to try on a program: its own order for a seed, whatever the other programs are."""
    done = {row.operator for row in terms.done if row.program == program}
    left = [o for o in OPERATORS if (not terms.names or o.name in terms.names) and o.name not in done]
    return left if terms.seed is None else random.Random(f"{terms.seed} {program}").sample(left, len(left))


def trials(program: Program, terms: Terms) -> Iterator[Row]:
    """A row for each operator that finds a place, until enough of them hurt."""
    left = math.inf if terms.hurting is None else terms.hurting - sum(map(hurts, _of(program, terms.done)))
    text = (program.folder / program.cwd / (program.mutated or program.argv[0])).read_text()
    mutants = [mutant for operator in order(program.name, terms) if (mutant := operator.mutant(text)) is not None]
    own = measured.run([sys.executable, *program.argv], program, terms.scratch, terms.limit) if mutants else None
    base = program.result(own.out) if own is not None else None
    if own is None or base is None:
        print(f"{program.name}: no result to compare ({own.err[-200:] if own else 'no mutant'})", file=sys.stderr)
        return
    for mutant in mutants:
        if left <= 0:
            return
        row = _tried(program, mutant, base, own.seconds, terms)
        left -= hurts(row)
        yield row


def turns(rows: Iterable[Iterator[Row]]) -> Iterator[Row]:
    """The rows of several programs: each in turn, up to and with the next of its mutants that hurts."""
    waiting = list(rows)
    while waiting:
        for one in waiting.copy():
            for row in one:
                yield row
                if hurts(row):
                    break
            else:
                waiting.remove(one)


def _of(program: Program, rows: Iterable[Row]) -> list[Row]:
    return [row for row in rows if row.program == program.name]


def _tried(program: Program, mutant: Mutant, base: float, seconds: float, terms: Terms) -> Row:
    plain = [sys.executable, *program.argv]
    alone = measured.run(plain, program, terms.scratch, SLOWER * seconds + 10, mutated(program, mutant))
    result = program.result(alone.out)
    told = Row(program.name, mutant.operator, "harmless", base, _finite(result), mutant.lines)
    if alone.code != 0:
        return Row(**{**asdict(told), "fate": "fails", "said": (alone.err.strip().splitlines() or [""])[-1:]})
    return _examined(program, mutant, told, alone, terms) if program.worse(result, base) else told


def _examined(program: Program, mutant: Mutant, told: Row, alone: measured.Outcome, terms: Terms) -> Row:
    under, diagnosis = under_tool(program, terms.scratch, terms.limit, [*terms.options], mutated(program, mutant))
    if terms.keep is not None:
        _kept(terms.keep / f"{program.name}.{mutant.operator}", program, mutant, under, diagnosis)
    found = diagnosis.get("findings", [])
    right = [f for f in found if f["fault"] in mutant.faults and f["role"] in ("cause", "suspect")]
    after = _patched(program, mutant, diagnosis, terms)
    changes = {
        "fate": fate(found, mutant.faults) if diagnosis else "no report",
        "state": diagnosis.get("state"),
        "said": [f"{f['role']}:{f['fault']}:{(f['site'] or {}).get('line')}" for f in found],
        "line_right": any(f["site"] and near(f["site"]["line"], mutant.lines) for f in right),
        "mended": after is not None and told.base is not None and not program.worse(after, told.base),
        "after": _finite(after),
        "cost": round(under.cpu / max(alone.cpu, 0.1), 1),
    }
    return Row(**{**asdict(told), **changes})


def _kept(stem: Path, program: Program, mutant: Mutant, under: measured.Outcome, diagnosis: dict) -> None:
    file = program.mutated or program.argv[0]
    old = (program.folder / program.cwd / file).read_text()
    diff = difflib.unified_diff(old.splitlines(True), mutant.text.splitlines(True), file, file, n=1)
    stem.parent.mkdir(parents=True, exist_ok=True)
    texts = {"diff": "".join(diff), "out": under.out, "err": under.err, "json": json.dumps(diagnosis, indent=1)}
    for kind, text in texts.items():
        Path(f"{stem}.{kind}").write_text(text)


def _patched(program: Program, mutant: Mutant, diagnosis: dict, terms: Terms) -> float | None:
    """The result of the mutant with the tool's patch; None where there is none or it does not apply."""
    diff = (diagnosis.get("patch") or {}).get("diff")
    if not diff:
        return None

    def prepare(folder: Path) -> None:
        mutated(program, mutant)(folder)
        script = folder / program.argv[0]
        subprocess.run(
            ["git", "apply", "-"], input=diff, text=True, cwd=script.parent, capture_output=True, check=False
        )

    done = measured.run([sys.executable, *program.argv], program, terms.scratch, terms.limit, prepare)
    return program.result(done.out) if done.code == 0 else None


def _finite(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None


def main() -> None:
    """Words in, rows out."""
    words, options = split(sys.argv[1:])
    asked = _parser().parse_args(words)
    if asked.table:
        print(tables(read(asked.table)), end="")
        return
    scored = [program for program in chosen(programs.read(asked.manifest), asked.only) if program.score]
    terms = _terms(asked, options)
    for row in turns([trials(program, terms) for program in scored]):
        line = json.dumps(asdict(row))
        print(line, flush=True)
        if asked.out:
            with asked.out.open("a") as out:
                out.write(line + "\n")


def _terms(asked: argparse.Namespace, options: list[str]) -> Terms:
    names = tuple(name for name in asked.operators.split(",") if name)
    done = tuple(read(asked.out)) if asked.out and asked.out.exists() else ()
    return Terms(asked.scratch, asked.limit, tuple(options), names, asked.hurting, asked.seed, done, asked.keep)


def _parser() -> argparse.ArgumentParser:
    made = argparse.ArgumentParser("python -m benchmarks.field.mutants")
    made.add_argument("manifest", type=Path, nargs="?")
    made.add_argument("--scratch", type=Path)
    made.add_argument("--only", default="")
    made.add_argument("--operators", default="")
    made.add_argument("--hurting", type=int)
    made.add_argument("--seed", type=int)
    made.add_argument("--keep", type=Path)
    made.add_argument("--limit", type=float, default=600.0)
    made.add_argument("--out", type=Path)
    made.add_argument("--table", type=Path)
    return made


if __name__ == "__main__":
    main()
