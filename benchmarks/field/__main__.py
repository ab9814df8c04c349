"""Run whole programs alone and under the tool, and compare.

    python -m benchmarks.field MANIFEST --scratch DIR [--only NAME,...] [--limit SECONDS] [--out ROWS.jsonl]
                               [--reports DIR] [-- OPTIONS OF unstuck run]
    python -m benchmarks.field --table ROWS.jsonl

MANIFEST names the commands and the folders in which they run (`programs.py` says how). Nothing is fetched: sources and
data are the caller's. Each program runs alone and then under `unstuck run`, in a fresh copy below DIR with a home of
its own, one process at a time. A row of JSON per program goes to stdout and to --out; --table prints them in Markdown.
The interpreter that runs this must have what the programs import.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from benchmarks.field import programs
from benchmarks.field.table import table
from benchmarks.field.trial import Row, tried


def main() -> None:
    """Words in, rows out."""
    words, options = split(sys.argv[1:])
    asked = _parser().parse_args(words)
    if asked.table:
        print(table(rows(asked.table)), end="")
        return
    for program in chosen(programs.read(asked.manifest), asked.only):
        row, report = tried(program, asked.scratch, asked.limit, options)
        print(row.line(), flush=True)
        _keep(asked, row, report)


def rows(path: Path) -> list[Row]:
    """The rows of a file; of a program that was run twice, the last."""
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    return list({line["name"]: Row(**line) for line in lines}.values())


def split(words: list[str]) -> tuple[list[str], list[str]]:
    """The words before `--`, and those after it."""
    at = words.index("--") if "--" in words else len(words)
    return words[:at], words[at + 1 :]


def chosen(every: tuple[programs.Program, ...], only: str) -> list[programs.Program]:
    """The programs with these names, or all."""
    names = [name for name in only.split(",") if name]
    return [program for program in every if not names or program.name in names]


def _keep(asked: argparse.Namespace, row: Row, report: str) -> None:
    if asked.out:
        with asked.out.open("a") as out:
            out.write(row.line() + "\n")
    if asked.reports:
        asked.reports.mkdir(parents=True, exist_ok=True)
        (asked.reports / f"{row.name}.txt").write_text(report)


def _parser() -> argparse.ArgumentParser:
    made = argparse.ArgumentParser("python -m benchmarks.field")
    made.add_argument("manifest", type=Path, nargs="?")
    made.add_argument("--scratch", type=Path)
    made.add_argument("--only", default="")
    made.add_argument("--limit", type=float, default=600.0)
    made.add_argument("--out", type=Path)
    made.add_argument("--reports", type=Path)
    made.add_argument("--table", type=Path)
    return made


if __name__ == "__main__":
    main()
