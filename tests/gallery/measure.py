"""Run every healthy script of the gallery for three seeds and write what came out into README.md.

    python tests/gallery/measure.py            all scripts
    python tests/gallery/measure.py gan vae    those whose name holds one of the words

The seconds are those of the script itself: torch has been imported already (see benchmarks/forked.py).
"""

from __future__ import annotations

import ast
import json
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parents[1]))

from benchmarks.forked import run, warm  # noqa: E402

SEEDS = (0, 1, 2)
KEPT = HERE / "measured.json"


def scripts(words: list[str]) -> list[Path]:
    """The scripts of the gallery in order of name, all of them where no word is given."""
    every = sorted((HERE / "healthy").glob("*.py"))
    return [p for p in every if not words or any(w in p.stem for w in words)]


def measured(script: Path) -> dict:
    """What the seeds gave, as it is kept in measured.json."""
    runs = [run(script, seed) for seed in SEEDS]
    return {
        "metric": next((r.name for r in runs if r.name), "failed"),
        "values": [r.value for r in runs],
        "seconds": round(sorted(r.seconds for r in runs)[1], 1),
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
    """Measure, telling each script's row as it comes."""
    warm()
    kept = json.loads(KEPT.read_text()) if KEPT.exists() else {}
    kept = {name: row for name, row in kept.items() if (HERE / "healthy" / f"{name}.py").exists()}
    for script in scripts(words):
        kept[script.stem] = row = measured(script)
        print(f"{script.stem:34} {row['metric']:18} {row['values']} {row['seconds']} s", flush=True)
        write(kept)


if __name__ == "__main__":
    main(sys.argv[1:])
