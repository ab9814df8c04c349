"""The fault pages as Markdown, from the rules themselves: `python docs/pages.py` writes them, `--check` compares.

One file per fault in docs/faults/, and an index. A test holds them equal to what the rules say.
"""

from __future__ import annotations

import sys
from pathlib import Path

from unstuck.rules.catalogue import pages

FOLDER = Path(__file__).parent / "faults"


def rendered() -> dict[str, str]:
    """Text by file name."""
    found = pages()
    texts = {f"{fault}.md": _page(fault, page) for fault, page in found.items()}
    lines = [f"- [{fault}]({fault}.md): {page.splitlines()[0]}" for fault, page in sorted(found.items())]
    return {**texts, "README.md": "# The faults\n\n" + "\n".join(lines) + "\n"}


def _page(fault: str, page: str) -> str:
    title, _, rest = page.strip().partition("\n")
    return f"# {fault}\n\n**{title}**\n{rest}\n"


def differing() -> list[str]:
    """Names of the files that are missing, outdated or left over."""
    wanted = rendered()
    there = {p.name: p.read_text(encoding="utf-8") for p in FOLDER.glob("*.md")}
    return sorted(name for name in wanted.keys() | there.keys() if wanted.get(name) != there.get(name))


def main() -> int:
    """Write the pages, or with --check only say which differ."""
    if "--check" in sys.argv:
        print("\n".join(differing()) or "the pages are up to date")
        return bool(differing())
    FOLDER.mkdir(exist_ok=True)
    for name in differing():
        (FOLDER / name).unlink(missing_ok=True)
        if name in rendered():
            (FOLDER / name).write_text(rendered()[name], encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
