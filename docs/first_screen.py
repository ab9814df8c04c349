"""The README's first screen is what the program says: `python docs/first_screen.py` puts a run's words into it.

A test compares them: every word must be the same, and every number to a tenth, for another machine's rounding leads a
training elsewhere.
"""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
README, SCRIPT = ROOT / "README.md", "examples/rice.py"
BEGIN, END = "<!-- what `unstuck run examples/rice.py` says -->\n", "<!-- until here -->"
NUMBER = re.compile(r"-?\d+(?:\.\d+)?(?:e[+-]?\d+)?")


def said() -> str:
    """The head of the report on the example, and what was tried: indented, as Markdown shows it."""
    command = [sys.executable, "-m", "unstuck", "run", SCRIPT]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    parts = re.split(r"\n(?=Why |What was |Skill on |The patch )", done.stderr)
    shown = [parts[0], *(part for part in parts if part.startswith("What was tried"))]
    return "\n".join(f"    {line}".rstrip() for line in "\n".join(shown).strip().splitlines()) + "\n"


def shown() -> str:
    """What the README has."""
    return README.read_text(encoding="utf-8").partition(BEGIN)[2].partition(END)[0].strip("\n") + "\n"


def alike(one: str, other: str) -> bool:
    """The same words, and numbers to a tenth (or a twentieth of 1, where they are small)."""
    words = [" ".join(NUMBER.sub("#", text).split()) for text in (one, other)]
    pairs = zip(*([float(n) for n in NUMBER.findall(text)] for text in (one, other)), strict=False)
    return words[0] == words[1] and all(abs(a - b) <= max(0.1 * abs(a), 0.05) for a, b in pairs)


def main() -> None:
    """Write the README's block anew."""
    text = README.read_text(encoding="utf-8")
    head, begin, rest = text.partition(BEGIN)
    README.write_text(f"{head}{begin}\n{said()}\n{END}{rest.partition(END)[2]}", encoding="utf-8")


if __name__ == "__main__":
    main()
