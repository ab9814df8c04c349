"""What the documents show is what the program says: `python docs/first_screen.py` puts a run's words into them.

README.md has the verdict, docs/start.md causes and experiments, docs/images/report.svg a picture of the same. A test
compares the texts: every word must be the same, and every number to a tenth, for another machine's rounding leads a
training elsewhere.
"""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from html import escape
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
README, START, PICTURE = ROOT / "README.md", ROOT / "docs/start.md", ROOT / "docs/images/report.svg"
SCRIPT = "examples/rice.py"
BEGIN, END = "<!-- what `unstuck run examples/rice.py` says -->\n", "<!-- until here -->"
SECTION = re.compile(r"\n(?=(?:Suspects, not proven|Patch \(.*\)|What was tried|Next)$)", re.M)
NUMBER = re.compile(r"-?\d+(?:\.\d+)?(?:e[+-]?\d+)?")
LINES, WIDE, HIGH = 38, 8.4, 18
"""Of the picture: lines of the report, pixels of a character and of a line."""
COLOURS = (
    (r"does not learn|^Cause", "#ff9d8a"), (r"^Fix|heals|proven:", "#9be58f"), (r"^\S+:\d+ ", "#8ecbff"),
    (r"^ +\d+ \|", "#aab4c0"),
)  # fmt: skip


def said() -> str:
    """What a run of the example reports: causes and what was tried."""
    command = [sys.executable, "-m", "unstuck", "run", "--seconds", "600", SCRIPT]  # the same on a busy machine
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    return head(done.stderr)


def head(report: str) -> str:
    """The verdict with its causes, and what was tried: a report without its diff and commands."""
    first, *parts = SECTION.split(report)
    return "\n".join([first, *(part for part in parts if part.startswith("What was tried"))]).strip()


def verdict(report: str) -> str:
    """Its first paragraph."""
    return report.strip().partition("\n\n")[0]


def shown(file: Path) -> str:
    """What a document has, without the indent by which Markdown knows it."""
    block = file.read_text(encoding="utf-8").partition(BEGIN)[2].partition(END)[0].strip("\n")
    return "\n".join(line.removeprefix("    ") for line in block.splitlines())


def alike(one: str, other: str) -> bool:
    """The same words, and numbers to a tenth (or a twentieth of 1, where they are small)."""
    words = [" ".join(NUMBER.sub("#", text).split()) for text in (one, other)]
    pairs = zip(*([float(n) for n in NUMBER.findall(text)] for text in (one, other)), strict=False)
    return words[0] == words[1] and all(abs(a - b) <= max(0.1 * abs(a), 0.05) for a, b in pairs)


def picture(report: str) -> str:
    """The beginning of a report as an SVG of a terminal."""
    lines = [f"$ unstuck run {SCRIPT}", "", *report.splitlines()[:LINES]]
    width, height = round(WIDE * max(map(len, lines))) + 40, HIGH * len(lines) + 32
    return "\n".join(_drawn(lines, width, height)) + "\n"


def _drawn(lines: list[str], width: int, height: int) -> Iterator[str]:
    yield f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}">'
    yield f"<title>{escape(lines[2])}</title>"
    yield '<rect width="100%" height="100%" rx="8" fill="#16191f"/>'
    yield '<g font-family="ui-monospace, Menlo, Consolas, \'DejaVu Sans Mono\', monospace" font-size="14">'
    for number, line in enumerate(lines):
        fill = next((colour for pattern, colour in COLOURS if re.search(pattern, line)), "#e8ebef")
        if line:
            # Every font gets the width of its columns.
            place = f'x="20" y="{28 + HIGH * number}" textLength="{round(WIDE * len(line))}" fill="{fill}"'
            yield f'<text xml:space="preserve" {place}>{escape(line)}</text>'
    yield "</g></svg>"


def _put(file: Path, report: str) -> None:
    """Write a document's block anew."""
    head, begin, rest = file.read_text(encoding="utf-8").partition(BEGIN)
    block = "\n".join(f"    {line}".rstrip() for line in report.splitlines())
    file.write_text(f"{head}{begin}\n{block}\n\n{END}{rest.partition(END)[2]}", encoding="utf-8")


def main() -> None:
    """Write blocks and picture."""
    report = said()
    _put(README, verdict(report))
    _put(START, report)
    PICTURE.parent.mkdir(exist_ok=True)
    PICTURE.write_text(picture(report), encoding="utf-8")


if __name__ == "__main__":
    main()
