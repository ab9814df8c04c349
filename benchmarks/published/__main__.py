"""Run the tool on subjects of published benchmarks.

    python -m benchmarks.published [--only NAME,...] [--out ROWS.jsonl] [--limit SECONDS] [--effort EFFORT]
    python -m benchmarks.published --table ROWS.jsonl
    python -m benchmarks.published --plain [--only NAME,...]

The first prints a row of JSON for each subject, the second the tables in Markdown; of a subject that was run twice the
last row counts. --plain runs each script and its repaired version without the tool and prints their results.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from benchmarks.published.subject import Subject, subjects
from benchmarks.published.table import tables
from benchmarks.published.trial import SEED, Row, result, tried


def main() -> None:
    """Words in, rows or tables out."""
    asked = _parser().parse_args()
    if asked.table:
        print(tables(subjects(), rows(asked.table)), end="")
        return
    for subject in chosen(asked.only):
        line = plain(subject, asked.limit) if asked.plain else tried(subject, asked.limit, asked.effort).line()
        print(line, flush=True)
        if asked.out:
            with asked.out.open("a") as out:
                out.write(line + "\n")


def plain(subject: Subject, limit: float) -> str:
    """The results of the script and of its repaired version."""
    numbers = [result(text, subject.name, SEED, limit) for text in (subject.script(), subject.repaired_script())]
    return json.dumps({"name": subject.name, "broken": numbers[0], "repaired": numbers[1]})


def rows(path: Path) -> list[Row]:
    """The rows of a file."""
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    return [Row(**{k: tuple(v) if isinstance(v, list) else v for k, v in line.items()}) for line in lines]


def chosen(only: str) -> list[Subject]:
    """The subjects with these names, or all."""
    names = [name for name in only.split(",") if name]
    return [subject for subject in subjects() if not names or subject.name in names]


def _parser() -> argparse.ArgumentParser:
    made = argparse.ArgumentParser("python -m benchmarks.published")
    made.add_argument("--only", default="")
    made.add_argument("--out", type=Path)
    made.add_argument("--limit", type=float, default=600.0)
    made.add_argument("--effort", default="normal")
    made.add_argument("--table", type=Path)
    made.add_argument("--plain", action="store_true")
    return made


if __name__ == "__main__":
    main()
