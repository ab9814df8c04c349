"""One mistake at a time in published programs: is it found, at its line, and is the program mended?

    python -m benchmarks.field.mutants MANIFEST --scratch DIR [--only PROGRAM,...] [--operators NAME,...]
                                       [--limit SECONDS] [--out ROWS.jsonl] [-- OPTIONS OF unstuck run]
    python -m benchmarks.field.mutants --table ROWS.jsonl

Programs of the manifest with a `score` are changed by every operator of `operators.py` that finds a place in them. A
mutant that fails, or whose result is not worse than the program's own by more than its `margin`, is set aside. Those
that hurt are run under `unstuck run`; its patch, if any, is applied to the mutant and that is run again.
"""

from __future__ import annotations

import argparse
import json
import math
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from benchmarks.field import measured, programs
from benchmarks.field.__main__ import chosen, split
from benchmarks.field.operators import OPERATORS, Mutant
from benchmarks.field.programs import Program
from benchmarks.field.trial import under_tool

NEAR = 3
"""Lines between the change and the line of a finding: a call of several lines is reported at its first or its last."""
SLOWER = 5.0
"""Times the program's own seconds after which a mutant counts as failed."""


@dataclass(frozen=True)
class Row:
    """One mutant."""

    program: str
    operator: str
    fate: str
    """`fails`, `harmless`, or what became of one that hurts: `cause`, `suspect`, `hint`, `other cause`, `missed`."""
    base: float | None = None
    result: float | None = None
    lines: tuple[int, ...] = ()
    state: str | None = None
    said: tuple[str, ...] = ()
    """Findings as role:fault:line."""
    line_right: bool = False
    mended: bool = False
    after: float | None = None
    """The result of the patched mutant."""
    cost: float = 0.0
    """Processor seconds under the tool, over those of the mutant alone."""


def mutated(program: Program, mutant: Mutant) -> Callable[[Path], None]:
    """What puts a mutant into a copy of its program."""

    def prepare(folder: Path) -> None:
        (folder / (program.mutated or program.argv[0])).write_text(mutant.text)

    return prepare


def trials(program: Program, names: list[str], scratch: Path, limit: float, options: list[str]) -> Iterator[Row]:
    """A row for each operator that finds a place."""
    plain = [sys.executable, *program.argv]
    own = measured.run(plain, program, scratch, limit)
    base = program.result(own.out)
    if base is None:
        print(f"{program.name}: no result to compare ({own.err[-200:]})", file=sys.stderr)
        return
    text = (program.folder / program.cwd / (program.mutated or program.argv[0])).read_text()
    for operator in OPERATORS:
        mutant = operator.mutant(text) if not names or operator.name in names else None
        if mutant is None:
            continue
        alone = measured.run(plain, program, scratch, SLOWER * own.seconds + 10, mutated(program, mutant))
        result = program.result(alone.out)
        told = Row(program.name, operator.name, "harmless", base, _finite(result), mutant.lines)
        if alone.code != 0:
            yield Row(**{**asdict(told), "fate": "fails", "said": (alone.err.strip().splitlines() or [""])[-1:]})
        elif not program.worse(result, base):
            yield told
        else:
            yield _examined(program, mutant, told, alone, scratch, limit, options)


def _examined(
    program: Program,
    mutant: Mutant,
    told: Row,
    alone: measured.Outcome,
    scratch: Path,
    limit: float,
    options: list[str],
) -> Row:
    under, diagnosis = under_tool(program, scratch, limit, options, mutated(program, mutant))
    found = diagnosis.get("findings", [])
    right = [f for f in found if f["fault"] in mutant.faults and f["role"] in ("cause", "suspect")]
    after = _patched(program, mutant, diagnosis, scratch, limit)
    changes = {
        "fate": fate(found, mutant.faults),
        "state": diagnosis.get("state"),
        "said": [f"{f['role']}:{f['fault']}:{(f['site'] or {}).get('line')}" for f in found],
        "line_right": any(f["site"] and near(f["site"]["line"], mutant.lines) for f in right),
        "mended": after is not None and told.base is not None and not program.worse(after, told.base),
        "after": _finite(after),
        "cost": round(under.cpu / max(alone.cpu, 0.1), 1),
    }
    return Row(**{**asdict(told), **changes})


def fate(found: list[dict], faults: tuple[str, ...]) -> str:
    """What became of a mutant, by the findings about it."""
    roles = {f["role"] for f in found if f["fault"] in faults}
    if named := next((role for role in ("cause", "suspect", "consequence") if role in roles), None):
        return "suspect" if named == "consequence" else named
    if any(f["role"] == "cause" for f in found):
        return "other cause"
    return "hint" if roles else "missed"


def near(line: int, lines: Iterable[int]) -> bool:
    """Whether a finding stands where the program was changed."""
    return any(abs(line - changed) <= NEAR for changed in lines)


def _patched(program: Program, mutant: Mutant, diagnosis: dict, scratch: Path, limit: float) -> float | None:
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

    done = measured.run([sys.executable, *program.argv], program, scratch, limit, prepare)
    return program.result(done.out) if done.code == 0 else None


def _finite(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None


def tables(rows: list[Row]) -> str:
    """By operator, then by program: how many hurt, and what became of those."""
    return "\n".join(_table(rows, key) for key in ("operator", "program"))


def _table(rows: list[Row], key: str) -> str:
    head = (key, "made", "fail", "harmless", "hurt", "named", "cause", "line right", "mended", "cost")
    groups: dict[str, list[Row]] = {}
    for row in rows:
        groups.setdefault(getattr(row, key), []).append(row)
    lines = [
        head,
        tuple("---" for _ in head),
        *(_line(name, part) for name, part in groups.items()),
        _line("all", rows),
    ]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines) + "\n"


def _line(name: str, rows: list[Row]) -> tuple[str, ...]:
    hurt = [row for row in rows if row.fate not in ("fails", "harmless")]
    named, causes = [r for r in hurt if r.fate in ("cause", "suspect")], [r for r in hurt if r.fate == "cause"]
    cost = f"x{sorted(r.cost for r in hurt)[len(hurt) // 2]:.1f}" if hurt else ""
    fails, harmless = (sum(row.fate == fate for row in rows) for fate in ("fails", "harmless"))
    right, mended = sum(r.line_right for r in hurt), sum(r.mended for r in hurt)
    return (name, *map(str, (len(rows), fails, harmless, len(hurt), len(named), len(causes), right, mended)), cost)


def read(path: Path) -> list[Row]:
    """The rows of a file; of a mutant that was run twice, the last."""
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    return list({(line["program"], line["operator"]): Row(**line) for line in lines}.values())


def main() -> None:
    """Words in, rows out."""
    words, options = split(sys.argv[1:])
    asked = _parser().parse_args(words)
    if asked.table:
        print(tables(read(asked.table)), end="")
        return
    names = [name for name in asked.operators.split(",") if name]
    for program in chosen(programs.read(asked.manifest), asked.only):
        for row in trials(program, names, asked.scratch, asked.limit, options) if program.score else ():
            line = json.dumps(asdict(row))
            print(line, flush=True)
            if asked.out:
                with asked.out.open("a") as out:
                    out.write(line + "\n")


def _parser() -> argparse.ArgumentParser:
    made = argparse.ArgumentParser("python -m benchmarks.field.mutants")
    made.add_argument("manifest", type=Path, nargs="?")
    made.add_argument("--scratch", type=Path)
    made.add_argument("--only", default="")
    made.add_argument("--operators", default="")
    made.add_argument("--limit", type=float, default=600.0)
    made.add_argument("--out", type=Path)
    made.add_argument("--table", type=Path)
    return made


if __name__ == "__main__":
    main()
