"""The generated pages say what the rules say, and README, docs/start.md and their picture what the program says."""

import re
import runpy
from pathlib import Path

from tests.sample_reports import RICE
from unstuck.report import terminal

ROOT = Path(__file__).resolve().parents[1]
PAGES = ROOT / "docs" / "pages.py"
LINK = re.compile(r"\]\(([^)#\s]+\.\w+)(?:#[\w-]+)?\)")
LARGEST = 400_000
"""Bytes of a page of the gallery."""


def test_the_fault_pages_are_up_to_date() -> None:
    assert runpy.run_path(str(PAGES))["differing"]() == [], "run: python docs/pages.py"


def test_the_documents_show_what_the_program_says() -> None:
    screen = runpy.run_path(str(PAGES.with_name("first_screen.py")))
    said, shown, alike = screen["said"](), screen["shown"], screen["alike"]
    assert alike(shown(screen["START"]), said), "run: python docs/first_screen.py"
    assert alike(shown(screen["README"]), screen["verdict"](said)), "run: python docs/first_screen.py"
    picture = [line for line in screen["PICTURE"].read_text(encoding="utf-8").splitlines() if line.startswith("<text")]
    drawn = [line for line in screen["picture"](said).splitlines() if line.startswith("<text")]
    assert alike("".join(picture), "".join(drawn)), "run: python docs/first_screen.py"


def test_links_between_documents_lead_somewhere() -> None:
    documents = [*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"), *ROOT.glob("benchmarks/*.md")]
    made = {"contributing.md", "changelog.md", "security.md", "field.md", "headroom.md"}
    made |= {f"gallery/{name}.html" for name in ("rice", "heart_rate", "pictures")}  # docs/site_hooks.py
    gone = [
        f"{document.name}: {link}"
        for document in documents
        for link in LINK.findall(document.read_text(encoding="utf-8"))
        if "://" not in link and not (document.parent / link).exists() and link not in made
    ]
    assert gone == []


def test_the_pages_of_the_gallery_are_small_and_load_nothing() -> None:
    pages = sorted((ROOT / "examples/pages").glob("*.html"))
    assert [p.stem for p in pages] == ["heart_rate", "pictures", "rice"]
    for page in pages:
        text = page.read_text(encoding="utf-8")
        assert len(text) < LARGEST and "<script" not in text
        assert not re.search(r"""(?:src|href)=["']https?://|url\(["']?https?://""", text)


def test_a_changed_word_or_number_would_be_seen() -> None:
    alike = runpy.run_path(str(PAGES.with_name("first_screen.py")))["alike"]
    assert alike("accuracy 0.99 of 840", "accuracy 0.98 of 840")
    assert not alike("accuracy 0.99 of 840", "accuracy 0.55 of 840")
    assert not alike("it learns", "it does not learn")


def test_the_readme_shows_causes_and_what_was_tried_without_the_diff() -> None:
    head = runpy.run_path(str(PAGES.with_name("first_screen.py")))["head"](terminal.render(RICE))
    assert head.startswith("train.py does not learn")
    assert "metric-error" in head and "\n\nWhat was tried\n" in head
    assert not any(words in head for words in ("--- a/train.py", "Patch (", "Next", "unstuck explain"))
