"""Run the tool over the healthy gallery and tell where it was not silent.

    python -m benchmarks.silence [--seeds 0,1,2] [--jobs 2] [--only WORD,...] [--json FILE] [--under-only] [FOLDER]

FOLDER holds scripts, or cases as folders with a `train.py` (those whose truth.json names no fault). The table: seconds
of the script alone (0 with --under-only), seconds under the tool, whether it learns, the causes, the findings above a
hint, and what was stated of the recorded steps. The exit code is 1 if a cause or such a finding was named, a
script was said not to learn, or one behaved otherwise under it.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path

from benchmarks.forked import result

GALLERY = Path(__file__).resolve().parents[1] / "tests" / "gallery" / "healthy"
LIMIT = 600
"""Seconds after which a run counts as hung."""


@dataclass(frozen=True)
class Row:
    """One script, one seed."""

    script: str
    seed: int
    plain: float
    seconds: float
    learns: bool | None
    causes: tuple[str, ...]
    loud: tuple[str, ...]
    """Findings above a hint, as fault:severity."""
    trouble: str
    """What else went wrong ("" where nothing did): no diagnosis, another result, a traceback."""
    stated: tuple[str, ...] = ()
    """What was seen in the recorded steps and stated below the verdict, by the experiment that showed it."""

    @property
    def silent(self) -> bool:
        """Whether the tool named nothing and left the script alone."""
        return not (self.causes or self.loud or self.trouble or self.learns is False)


def scripts(folder: Path, only: str) -> list[Path]:
    """Scripts to be silent about: the folder's own, and those of its healthy cases."""
    cases = [p.parent for p in folder.glob("*/truth.json") if not json.loads(p.read_text())["faults"]]
    every = sorted([*folder.glob("*.py"), *(c / "train.py" for c in cases)])
    words = [w for w in only.split(",") if w]
    return [p for p in every if not words or any(w in str(p.relative_to(folder)) for w in words)]


def timed(command: list[str], script: Path, seed: int) -> tuple[subprocess.CompletedProcess[str] | None, float]:
    """A command in the script's folder; None where it hung."""
    surroundings = dict(os.environ, SEED=str(seed), OMP_NUM_THREADS="1", MPLBACKEND="Agg")
    start = time.perf_counter()
    try:
        done = subprocess.run(
            command, cwd=script.parent, env=surroundings, capture_output=True, text=True, timeout=LIMIT
        )
    except subprocess.TimeoutExpired:
        done = None
    return done, time.perf_counter() - start


def examined(script: Path, seed: int, compared: bool = True) -> Row:
    """The script alone (unless not compared), then under the tool."""
    alone, plain = timed([sys.executable, script.name], script, seed) if compared else (None, 0.0)
    with tempfile.TemporaryDirectory() as scratch:
        said = Path(scratch) / "diagnosis.json"
        command = [sys.executable, "-m", "unstuck", "run", "--json", str(said), script.name]
        under, seconds = timed(command, script, seed)
        diagnosis = json.loads(said.read_text()) if said.exists() else None
    name = script.parent.name if script.name == "train.py" else script.stem
    trouble = troubled(alone, under, diagnosis) if compared else wrong(under, diagnosis)
    if diagnosis is None:
        return Row(name, seed, plain, seconds, None, (), (), trouble)
    causes = tuple(c["fault"] for c in diagnosis["causes"])
    above = [f for f in diagnosis["findings"] if f["severity"] != "hint"]
    loud = tuple(f"{f['fault']}:{f['severity']}" for f in above)
    stated = tuple(f"{s['experiment']}: {s['what']}" for s in diagnosis["statements"])
    return Row(name, seed, plain, seconds, diagnosis["learns"], causes, loud, trouble, stated)


def troubled(
    alone: subprocess.CompletedProcess | None, under: subprocess.CompletedProcess | None, said: dict | None
) -> str:
    """What else is wrong with a run under the tool."""
    if alone is None or alone.returncode:
        return "the script itself fails"
    if (trouble := wrong(under, said)) or under is None or said is None:
        return trouble
    if said["stopped"] == "script ended" and result(under.stdout) != result(alone.stdout):
        return f"another result: {result(under.stdout)} against {result(alone.stdout)}"
    return ""


def wrong(under: subprocess.CompletedProcess | None, said: dict | None) -> str:
    """What is wrong with the run under the tool, by itself."""
    if under is None:
        return f"hung for {LIMIT} s"
    if said is None:
        return f"no diagnosis, exit {under.returncode}: {(under.stderr.strip().splitlines() or [''])[-1][:90]}"
    if "Traceback (most recent call last)" in under.stderr:
        return "a traceback was shown"
    return f"exit {under.returncode}" if under.returncode else ""


def line(row: Row) -> str:
    """A row of the table."""
    learns = {True: "learns", False: "NOT", None: "?"}[row.learns]
    said = ",".join(row.causes) or "-"
    return (
        f"{row.script:34.34} s{row.seed} {row.plain:6.1f} {row.seconds:6.1f}  {learns:7} "
        f"causes:{said:24} above:{','.join(row.loud) or '-':34} {row.trouble}"
        + "".join(f"\n    stated by {one}" for one in row.stated)
    )


def rows(folder: Path, only: str, seeds: list[int], jobs: int, compared: bool) -> Iterator[Row]:
    """Every script with every seed, in order."""
    work = [(script, seed) for script in scripts(folder, only) for seed in seeds]
    with ThreadPoolExecutor(jobs) as pool:
        yield from pool.map(lambda pair: examined(*pair, compared), work)


def main() -> int:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", nargs="?", type=Path, default=GALLERY)
    parser.add_argument("--seeds", default="0")
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--only", default="")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--under-only", action="store_true", help="do not run the scripts alone as well")
    options = parser.parse_args()
    seen = []
    seeds, compared = [int(s) for s in options.seeds.split(",")], not options.under_only
    for row in rows(options.folder.resolve(), options.only, seeds, options.jobs, compared):
        seen.append(row)
        print(line(row), flush=True)
    broken = [r for r in seen if not r.silent]
    ratios = sorted(r.seconds / r.plain for r in seen if r.plain)
    cost = f", median cost x{ratios[len(ratios) // 2]:.2f}" if ratios else ""
    print(f"\n{len(seen) - len(broken)} of {len(seen)} silent{cost}")
    if options.json:
        options.json.write_text(json.dumps([asdict(r) for r in seen], indent=1))
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
