"""What `make site` adds to docs/: a page for each fault in the navigation, and files that live elsewhere."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from mkdocs.structure.files import File, Files

ROOT = Path(__file__).resolve().parents[1]
ELSEWHERE = {
    "contributing.md": "CONTRIBUTING.md", "changelog.md": "CHANGELOG.md", "security.md": "SECURITY.md",
    "field.md": "benchmarks/field.md", "headroom.md": "benchmarks/headroom.md",
    **{f"gallery/{name}.html": f"examples/pages/{name}.html" for name in ("rice", "heart_rate", "pictures")},
}  # fmt: skip
HERE = {
    "](docs/": "](", "](../docs/": "](", "](CONTRIBUTING.md)": "](contributing.md)",
    "](CHANGELOG.md)": "](changelog.md)", "](SECURITY.md)": "](security.md)",
}  # fmt: skip
"""Links between files of the repository, as they are on the site."""


def on_config(config: Any) -> Any:
    """The pages of the faults, in alphabetical order, in the navigation."""
    names = sorted(p.stem for p in (ROOT / "docs/faults").glob("*.md") if p.stem != "README")
    pages = ["faults/README.md", *({name: f"faults/{name}.md"} for name in names)]
    config.nav = [{"Faults": pages} if item == {"Faults": "faults/"} else item for item in config.nav]
    return config


def on_files(files: Files, config: Any) -> Files:
    """Files of the repository that are pages of the site too."""
    for name, path in ELSEWHERE.items():
        if name.endswith(".md"):
            text = (ROOT / path).read_text(encoding="utf-8")
            for link, other in HERE.items():
                text = text.replace(link, other)
            files.append(File.generated(config, name, content=text))
        else:
            files.append(File.generated(config, name, abs_src_path=str(ROOT / path)))
    return files
