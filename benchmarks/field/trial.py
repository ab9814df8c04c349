"""One program alone and under the tool, and what differed."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

from benchmarks.field import measured, outputs, trees
from benchmarks.field.programs import Program


@dataclass(frozen=True)
class Row:
    """One program's line of the table."""

    name: str
    source: str
    plain_code: int
    plain_seconds: float
    plain_cpu: float
    plain_peak: int
    code: int
    seconds: float
    cpu: float
    peak: int
    steps: int | None
    cut: bool
    state: str | None
    causes: tuple[str, ...]
    loud: tuple[str, ...]
    """Findings above a hint."""
    hints: tuple[str, ...]
    notes: tuple[str, ...]
    stdout: str
    added: tuple[str, ...]
    touched: tuple[str, ...]
    unequal: tuple[str, ...]

    def line(self) -> str:
        """The row as one line of JSON."""
        return json.dumps(asdict(self))


def tried(program: Program, scratch: Path, limit: float, options: list[str]) -> tuple[Row, str]:
    """The row of a program, and what the tool wrote on stderr."""
    plain = measured.run([sys.executable, *program.argv], program, scratch, limit)
    under, diagnosis = under_tool(program, scratch, limit, options)
    cut = bool((diagnosis.get("recorded") or {}).get("cut_by"))
    said = outputs.compared(plain.out, under.out, cut, program.varies)
    if said != "equal":
        again = measured.run([sys.executable, *program.argv], program, scratch, limit)
        alike = outputs.compared(plain.out, again.out, False, program.varies)
        said = f"{said}, as do two plain runs" if outputs.WORDS.index(alike) >= outputs.WORDS.index(said) else said
    return _row(program, plain, under, diagnosis, cut, said), under.err


def under_tool(
    program: Program,
    scratch: Path,
    limit: float,
    options: list[str],
    prepare: Callable[[Path], None] = measured.as_published,
) -> tuple[measured.Outcome, dict]:
    """The program under `unstuck run`, and its diagnosis ({} where there is none)."""
    said = scratch / "diagnosis.json"
    said.unlink(missing_ok=True)
    command = [sys.executable, "-m", "unstuck", "run", "--json", str(said), *options, *program.argv]
    under = measured.run(command, program, scratch, limit, prepare)
    return under, json.loads(said.read_text()) if said.exists() else {}


def _row(
    program: Program, plain: measured.Outcome, under: measured.Outcome, diagnosis: dict, cut: bool, said: str
) -> Row:
    findings = diagnosis.get("findings", [])
    homes = [f"~/{path}" for path in trees.added(plain.home, under.home)]
    return Row(
        program.name,
        program.source,
        *(plain.code, round(plain.seconds, 1), round(plain.cpu, 1), plain.peak),
        *(under.code, round(under.seconds, 1), round(under.cpu, 1), under.peak),
        steps=diagnosis.get("steps"),
        cut=cut,
        state=diagnosis.get("state"),
        causes=tuple(cause["fault"] for cause in diagnosis.get("causes", [])),
        loud=tuple(f["fault"] for f in findings if f["severity"] != "hint"),
        hints=tuple(f["fault"] for f in findings if f["severity"] == "hint"),
        notes=tuple(diagnosis.get("notes", [])),
        stdout=said,
        added=(*trees.added(plain.after, under.after), *homes),
        touched=tuple(trees.touched(plain.before, plain.after, under.after)),
        unequal=tuple(trees.unequal(plain.after, under.after)),
    )
