"""The page of a diagnosis: complete in itself, everything escaped, verdict and patch before the figures."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from pathlib import Path

import msgspec
import pytest

from tests.sample_reports import ALL, SICK, SUSPECTED
from unstuck.diagnosis.looks import Column, Entering, Layer, Looks, Picture, Row, Tokens
from unstuck.diagnosis.model import Diagnosis
from unstuck.report.html.page import render
from unstuck.report.sentences import verdict
from unstuck.tape.site import Site

EVIL = "<script>alert('1')</script> & \"quoted\" \x00\x1b \ud800"


def looks(word: str = "input 0") -> Looks:
    """One of each part that a page draws."""
    column = Column(word, 92.0, 5.8, 74.0, 113.0, (74.0, 90.0, 113.0), (3.0, 5.0))
    picture = Picture((((0,), (255,)), ((128,), (7,))), -1.0, 2.5)
    row = Row((87.0, float("nan")), (1.0,), (0.6,))
    entering = Entering(word, "pictures", (8, 1, 2, 2), "float32", Site(word, 3), 0.0, 1, (column,), (picture,), (row,))
    tokens = (Tokens((word, "fox"), ("fox", "jumps"), ("dog",), 7),)
    ids = Entering("input 1", "identities", (8, 9), "int64", None, 0.0, 28, tokens=tokens, named=word)
    layer = Layer(Site(word, 5), "linear", (8, 4), 1.0, 50.0, ("w",), (0.1, 0.0))
    broken = Layer(None, "sigmoid", (), float("nan"), float("inf"))
    curve = ((0.0, 1.0, 2.0), (0.7, float("nan"), 0.5))
    return Looks((entering, ids), (layer, broken), curve, ((word, (1.0, 2.0), (0.1, 0.01)),), (0.1, 0.2), (word,))


class Reader(HTMLParser):
    """Tags with their attributes, and the words in order."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.words = ""
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.words += data


@pytest.mark.parametrize("name", ALL)
def test_it_says_what_the_terminal_says(name: str) -> None:
    words = " ".join(Reader(render(ALL[name], looks())).words.split())
    for line in verdict(ALL[name]):
        assert " ".join(line.split()) in words
    for finding in ALL[name].findings:
        assert finding.message in words


def test_verdict_cause_and_patch_come_before_the_figures() -> None:
    words = Reader(render(SICK, looks(), target="train.py")).words
    order = [verdict(SICK)[0], SICK.causes[0].message, "INPUT_MEAN", "What enters the network", "Experiments"]
    places = [words.index(part) for part in order]
    assert places == sorted(places)
    assert "unstuck run --write train.py" in words


def test_nothing_is_fetched_and_nothing_runs() -> None:
    page = Reader(render(SICK, looks()))
    assert {"script", "iframe", "link", "object"}.isdisjoint(tag for tag, _ in page.tags)
    addresses = [v for _, a in page.tags for k, v in a.items() if k in ("src", "href") and v]
    assert addresses and all(address.startswith(("#", "data:image/png;base64,")) for address in addresses)
    assert all(not k.startswith("on") for _, a in page.tags for k in a)


def test_every_text_is_escaped() -> None:
    finding = msgspec.structs.replace(SICK.findings[0], message=EVIL, site=Site(EVIL, 1))
    text = render(msgspec.structs.replace(SICK, script=EVIL, findings=(finding,), notes=(EVIL,)), looks(EVIL))
    assert "script" not in {tag for tag, _ in Reader(text).tags}
    assert re.search("[\x00-\x08\x0b-\x1f\ud800-\udfff]", text) is None
    assert Reader(text).words.count("<script>alert('1')</script>") > 4


def test_a_suspect_says_what_would_settle_it_and_a_line_is_quoted(tmp_path: Path) -> None:
    (suspect,) = SUSPECTED.suspects
    site = Site("train.py", 2)
    (tmp_path / "train.py").write_text("first\n  second = '<b>'\n")
    moved = msgspec.structs.replace(SUSPECTED, findings=(msgspec.structs.replace(suspect, site=site),))
    words = Reader(render(moved, folder=tmp_path)).words
    assert "To settle it:" in words and "second = '<b>'" in words


def test_tokens_are_shown_by_row_with_targets_and_what_names_them() -> None:
    page = Reader(render(SICK, looks("stoi")))
    assert page.tags.count(("span", {"class": "token"})) == 5
    assert "The texts are those of stoi; the table has 28 rows." in page.words and "and 7 more" in page.words


def test_a_constant_learning_rate_is_a_line_of_text() -> None:
    constant = msgspec.structs.replace(looks(), rates=(("SGD", (1.0, 2.0), (0.1, 0.1)),))
    assert "SGD: 0.1" in Reader(render(SICK, constant)).words


def test_a_picture_is_a_png_of_its_pixels() -> None:
    import base64
    import io

    image = pytest.importorskip("PIL.Image")
    (address,) = [a["src"] for tag, a in Reader(render(SICK, looks())).tags if tag == "img"]
    assert address is not None
    shown = image.open(io.BytesIO(base64.b64decode(address.partition(",")[2])))
    assert shown.size == (2, 2) and list(shown.tobytes()) == [0, 255, 128, 7]


def test_the_page_of_a_tape_alone_gives_no_verdict() -> None:
    alone = Diagnosis("train.py", "2.13.0", "0", 150, "script ended", learns=None)
    words = Reader(render(alone, looks())).words
    assert "the recording of 150 training steps" in words and "Nothing was examined" in words
    assert "No fault" not in words and "does not tell" not in words
