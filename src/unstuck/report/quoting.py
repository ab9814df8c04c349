"""Lines of the person's source, quoted beside what is said of them."""

from __future__ import annotations

from pathlib import Path

from unstuck.tape.notebook import read
from unstuck.tape.site import Site


def line_of(site: Site | None, folder: Path | None) -> str:
    """The line that a site names, without its indent; "" where the file cannot be read or has no such line."""
    if site is None or folder is None:
        return ""
    try:
        text = (folder / site.file).read_text(encoding="utf-8", errors="replace")
        line = read(site.file, text).line(site.cell, site.line) if site.cell else text.split("\n")[site.line - 1]
        return line.strip()
    except (OSError, IndexError, ValueError):
        return ""
