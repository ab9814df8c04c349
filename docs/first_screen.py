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
SECTION = re.compile(r"\n(?=(?:Suspects, not proven|Patch \(.*\)|What was tried|Next)$)", re.M)
NUMBER = re.compile(r"-?\d+(?:\.\d+)?(?:e[+-]?\d+)?")


def said() -> str:
    """What a run of the example reports, as Markdown shows it: indented."""
    command = [sys.executable, "-m", "unstuck", "run", SCRIPT]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    return "\n".join(f"    {line}".rstrip() for line in head(done.stderr).splitlines()) + "\n"


def head(report: str) -> str:
    """The verdict with its causes, and what was tried: a report without its diff and commands."""
    first, *parts = SECTION.split(report)
    return "\n".join([first, *(part for part in parts if part.startswith("What was tried"))]).strip()


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
