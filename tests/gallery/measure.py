"""Run every healthy script of the gallery for three seeds and write what came out into README.md.

    python tests/gallery/measure.py            all scripts
    python tests/gallery/measure.py gan vae    those whose name holds one of the words

Each run is a fork of one process that has imported torch already, so that the seconds are those of the script itself.
"""

from __future__ import annotations

import ast
import json
import os
import re
import runpy
import sys
import tempfile
import time
import traceback
from pathlib import Path

HERE = Path(__file__).resolve().parent
SEEDS = (0, 1, 2)
KEPT = HERE / "measured.json"


def scripts(words: list[str]) -> list[Path]:
    """The scripts of the gallery in order of name, all of them where no word is given."""
    every = sorted((HERE / "healthy").glob("*.py"))
    return [p for p in every if not words or any(w in p.stem for w in words)]


def result(text: str) -> tuple[str, float] | None:
    """The last line `RESULT name value` of a script's output."""
    found = re.findall(r"^RESULT (\S+) (\S+)$", text, re.MULTILINE)
    return (found[-1][0], float(found[-1][1])) if found else None


def _child(script: Path, seed: int, out: Path) -> None:
    """The forked process: never returns."""
    code = 1
    try:
        with out.open("w") as sink:
            os.dup2(sink.fileno(), 1)
        os.environ["SEED"] = str(seed)
        sys.argv = [str(script)]
        runpy.run_path(str(script), run_name="__main__")
        sys.stdout.flush()
        code = 0
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(code)


def run(script: Path, seed: int) -> tuple[tuple[str, float] | None, float]:
    """One run: its result (None where it failed) and its wall seconds."""
    with tempfile.TemporaryDirectory() as scratch:
        out = Path(scratch) / "stdout"
        start = time.perf_counter()
        child = os.fork()
        if child == 0:
            _child(script, seed, out)
        _, status = os.waitpid(child, 0)
        seconds = time.perf_counter() - start
        return (result(out.read_text()) if status == 0 else None), seconds


def measured(script: Path) -> dict:
    """What the seeds gave, as it is kept in measured.json."""
    runs = [run(script, seed) for seed in SEEDS]
    name = next((r[0] for r, _ in runs if r), "failed")
    return {
        "metric": name,
        "values": [r[1] if r else None for r, _ in runs],
        "seconds": round(sorted(s for _, s in runs)[1], 1),
    }


def title(script: Path) -> str:
    """The first line of the script's docstring."""
    return (ast.get_docstring(ast.parse(script.read_text())) or "").partition("\n")[0]


def table(kept: dict[str, dict]) -> str:
    """The README's table."""
    head = "| script | what it is | measured as | seed 0 | 1 | 2 | s |\n|---|---|---|---|---|---|---|\n"
    rows = []
    for script in scripts([]):
        if row := kept.get(script.stem):
            values = " | ".join("failed" if v is None else f"{v:.3f}" for v in row["values"])
            rows.append(f"| {script.stem} | {title(script)} | {row['metric']} | {values} | {row['seconds']} |\n")
    return head + "".join(rows)


def write(kept: dict[str, dict]) -> None:
    """measured.json, and README.md between its two marks."""
    KEPT.write_text(json.dumps(kept, indent=1, sort_keys=True) + "\n")
    page = HERE / "README.md"
    before, _, rest = page.read_text().partition("<!-- table -->\n")
    _, _, after = rest.partition("<!-- end -->")
    page.write_text(f"{before}<!-- table -->\n{table(kept)}<!-- end -->{after}")


def main(words: list[str]) -> None:
    import numpy  # noqa: F401
    import pandas  # noqa: F401
    import sklearn.datasets
    import sklearn.model_selection
    import sklearn.preprocessing  # noqa: F401
    import torch

    torch.set_num_threads(1)
    kept = json.loads(KEPT.read_text()) if KEPT.exists() else {}
    kept = {name: row for name, row in kept.items() if (HERE / "healthy" / f"{name}.py").exists()}
    for script in scripts(words):
        kept[script.stem] = row = measured(script)
        print(f"{script.stem:34} {row['metric']:18} {row['values']} {row['seconds']} s", flush=True)
        write(kept)


if __name__ == "__main__":
    main(sys.argv[1:])
