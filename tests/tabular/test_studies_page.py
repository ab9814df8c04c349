"""The page of a study: complete in itself, everything escaped, nothing drawn beside the paper."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from html.parser import HTMLParser
from typing import Any
from xml.etree import ElementTree

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from unstuck.report.html.figures import Axis, Bars, Figure, Heatmap, Histogram, Lines, Series, Spread, Table
from unstuck.report.html.scale import Scale
from unstuck.tabular.studies.page import render
from unstuck.tabular.studies.story import Section, Study

EVIL = "<script>alert('1')</script> & \"quoted\" \x00\x1b \ud800"
SEEDS = Spread((190.0, 620.0, math.inf))


def figures(word: str) -> tuple[Figure, ...]:
    """One of each kind; every text in it is `word`."""
    axis = Axis(word, word)
    return (
        Lines(word, axis, axis, (Series(word, (0.0, 1.0), (1.0, 2.0)), Series(word, (0.0,), (3.0,), dashed=True))),
        Histogram(word, axis, (0.0, 1.0, 3.0), ((word, (0.25, 0.75)), (word, (1.0, 0.0)))),
        Heatmap(word, axis, axis, (word, word), (word,), ((7.0, math.inf),), axis),
        Bars(word, (word, word), (SEEDS, 3.5), axis),
    )


def study(word: str, *drawn: Figure) -> Study:
    """A study with one section; every text in it is `word`."""
    table = Table((word, word), ((word, SEEDS), (None, 12.5)), note=word)
    section = Section(word, word, word, "partly", table, drawn)
    return Study(word, word, word, word, (section,), (word,))


class Reader(HTMLParser):
    """Tags with their attributes, and the text."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.words.append(data)

    @property
    def text(self) -> str:
        return " ".join(self.words)


def test_the_page_holds_the_story_in_order() -> None:
    sections = tuple(
        Section(
            f"title {v}",
            f"claimed {v}",
            f"measured {v} 41.5\n\nagain {v}",
            v,
            Table(("x",), ((1.25,),)),
            figures(f"drawn {v}"),
        )
        for v in ("holds", "partly", "does not hold")
    )
    page = render(Study("rice", "A table of rice", "Why?", "Because 3.14.", sections, ("seed 7",)))
    text = Reader(page).text
    order = ["A table of rice", "Why?", "Because 3.14."]
    for section in sections:
        v = section.verdict
        order += [f"claimed {v}", f"measured {v} 41.5", f"again {v}", "The claim", "1.25", f"drawn {v}"]
    places = [-1]
    for words in [*order, "seed 7"]:
        places.append(text.index(words, places[-1] + 1))
    for said in ("The claim holds.", "The claim holds in part.", "The claim does not hold."):
        assert text.count(said) == 1
    assert "405 (304), 1 of 3 never" in text
    assert [a["href"] for t, a in Reader(page).tags if t == "a"] == ["#claim-1", "#claim-2", "#claim-3"]


def test_nothing_is_fetched_and_nothing_runs() -> None:
    read = Reader(render(study("word", *figures("word"))))
    assert not {"script", "link", "img", "iframe", "object", "embed", "base", "form"} & {tag for tag, _ in read.tags}
    attributes = [(name, value or "") for _, given in read.tags for name, value in given.items()]
    assert not [name for name, _ in attributes if name in ("src", "xlink:href", "style") or name.startswith("on")]
    assert all(value.startswith("#") for name, value in attributes if name == "href")
    assert "url(" not in read.text
    assert "@import" not in read.text
    (policy,) = [a["content"] for t, a in read.tags if t == "meta" and "http-equiv" in a]
    assert policy is not None
    assert policy.startswith("default-src 'none'")


def test_everything_is_escaped() -> None:
    page = render(study(EVIL, *figures(EVIL)))
    read = Reader(page)
    assert "script" not in {tag for tag, _ in read.tags}
    assert "alert" not in " ".join(name for _, given in read.tags for name in given)
    assert read.text.count("<script>alert('1')</script> & \"quoted\"") > 20
    assert not re.search("[\x00-\x08\x0b-\x1f]", page)
    page.encode("utf-8")


@pytest.mark.parametrize("word", ["", "a name that is much too long for the room beside any figure " * 3])
def test_any_name_will_do(word: str) -> None:
    inside(render(study(word, *figures(word))))


def test_empty_figures_are_drawn_empty() -> None:
    axis = Axis("x", log=True)
    empty = (
        Lines("", axis, axis, ()),
        Lines("", axis, axis, (Series("none", (), ()),)),
        Histogram("", axis, (), ()),
        Heatmap("", axis, axis, (), (), (), axis),
        Bars("", (), (), axis),
    )
    inside(render(study("word", *empty)))


def drawings(page: str) -> Iterator[ElementTree.Element]:
    """The figures; they are well-formed."""
    for drawing in re.findall(r"<svg.*?</svg>", page, re.DOTALL):
        yield ElementTree.fromstring(drawing)


def inside(page: str) -> None:
    """Nothing lies beside the paper, and no coordinate is not a number."""
    for drawing in drawings(page):
        _, _, width, height = map(float, drawing.attrib["viewBox"].split())
        for element in drawing.iter():
            given = element.attrib
            for names, size in ((("x", "x1", "x2", "cx"), width), (("y", "y1", "y2", "cy"), height)):
                assert all(-1 <= float(given[name]) <= size + 1 for name in names if name in given), given
            if "width" in given:
                assert 0 <= float(given["width"]) <= width - float(given["x"]) + 1
            pairs = re.findall(r"[ML](\S+) (\S+)", given.get("d", ""))
            assert all(0 <= float(x) <= width and 0 <= float(y) <= height for x, y in pairs)


numbers = st.floats(allow_nan=True, allow_infinity=True) | st.integers(-5, 5).map(float)
logs = st.booleans()


@settings(max_examples=60)
@given(st.lists(st.lists(st.tuples(numbers, numbers), max_size=8), max_size=3), logs, logs)
def test_lines_stay_on_the_paper(curves: list[list[tuple[float, float]]], across: bool, up: bool) -> None:
    series = tuple(Series(f"s{i}", *(tuple(p[k] for p in c) for k in (0, 1))) for i, c in enumerate(curves))
    inside(render(study("word", Lines("lines", Axis("x", log=across), Axis("y", log=up), series))))


@settings(max_examples=60)
@given(st.lists(numbers | st.lists(numbers, max_size=4).map(lambda v: Spread(tuple(v))), max_size=6), logs)
def test_bars_stay_on_the_paper(values: list[float | Spread], log: bool) -> None:
    labels = tuple(f"bar {i}" for i in range(len(values)))
    inside(render(study("word", Bars("bars", labels, tuple(values), Axis("value", log=log)))))


@settings(max_examples=60)
@given(st.lists(numbers, min_size=6, max_size=6), logs)
def test_maps_stay_on_the_paper(values: list[float], log: bool) -> None:
    rows = (tuple(values[:3]), tuple(values[3:]))
    shown = Heatmap("map", Axis("x"), Axis("y"), ("a", "b", "c"), ("r", "s"), rows, Axis("v", log=log))
    inside(render(study("word", shown)))


@settings(max_examples=60)
@given(st.lists(st.floats(-1e6, 1e6), min_size=2, max_size=9, unique=True), st.data(), logs)
def test_histograms_stay_on_the_paper(edges: list[float], data: st.DataObject, log: bool) -> None:
    counts = tuple(data.draw(st.lists(numbers, min_size=len(edges) - 1, max_size=len(edges) - 1)))
    shown = Histogram("counts", Axis("x", log=log), tuple(sorted(edges)), (("all", counts),))
    inside(render(study("word", shown)))


def paths(page: str) -> list[str]:
    return [
        e.attrib["d"]
        for d in drawings(page)
        for e in d.iter()
        if e.attrib.get("class", "").startswith("curve c") and "d" in e.attrib
    ]


def test_a_long_curve_is_thinned_but_keeps_its_peak() -> None:
    x = tuple(float(i) for i in range(20_000))
    y = tuple(1000.0 if i == 7_777 else float(i % 7) for i in range(20_000))
    page = render(study("word", Lines("long", Axis("x"), Axis("y"), (Series("s", x, y),))))
    (path,) = paths(page)
    heights = [float(v) for _, v in re.findall(r"[ML](\S+) (\S+)", path)]
    assert len(heights) < 3_000
    assert min(heights) == 30.0, "the peak reaches the frame's upper edge"
    assert len(page) < 120_000


def test_a_curve_is_interrupted_where_it_is_not_known() -> None:
    series = Series("s", (0.0, 1.0, 2.0, 3.0, 4.0), (1.0, 2.0, math.nan, 4.0, 5.0))
    (path,) = paths(render(study("word", Lines("gap", Axis("x"), Axis("y"), (series,)))))
    assert path.count("M") == 2


def test_by_powers_of_ten_what_is_not_positive_is_left_out() -> None:
    series = Series("s", (1.0, 2.0, 3.0), (0.0, 10.0, 100.0))
    (path,) = paths(render(study("word", Lines("log", Axis("x"), Axis("y", log=True), (series,)))))
    assert len(re.findall("[ML]", path)) == 2


def test_more_curves_than_colours_are_grey_and_named() -> None:
    series = tuple(Series(f"variant {i}", (0.0, 1.0), (float(i), 1.0)) for i in range(11))
    read = Reader(render(study("word", Lines("many", Axis("x"), Axis("y"), series))))
    keys = [a["class"] for t, a in read.tags if t == "span" and "key" in (a.get("class") or "")]
    assert keys == [f"key c{i}" for i in range(1, 9)] + ["key c0"] * 3
    assert "variant 10" in read.text


def ticks(scale: Scale) -> list[str]:
    return [text for _, text in scale.ticks()]


def test_the_largest_and_the_smallest_numbers_have_a_place() -> None:
    for value in (1.7e308, 3.2e307, 5e-324):
        axis, plain = Axis("v", log=True), Axis("v")
        inside(render(study("word", Lines("far", plain, plain, (Series("s", (value,), (value,)),)))))
        inside(render(study("word", Lines("far", axis, axis, (Series("s", (value,), (value,)),)))))


def test_ticks_are_round_numbers() -> None:
    assert ticks(Scale.over([0.0, 20_000.0], 0, 100)) == ["0", "5,000", "10,000", "15,000", "20,000"]
    assert ticks(Scale.over([0.02, 0.98], 0, 100).rounded()) == ["0", "0.2", "0.4", "0.6", "0.8", "1"]
    assert ticks(Scale.over([0.0, 3.0], 0, 100, whole=True)) == ["0", "1", "2", "3"]
    assert ticks(Scale.over([1e-3, 1e2], 0, 100, True)) == ["0.001", "0.01", "0.1", "1", "10", "100"]
    assert ticks(Scale.over([15.0, 60.0], 0, 100, True)) == ["20", "50"]
    assert ticks(Scale.over([1.0, 1e20], 0, 100, True)) == ["1", "1,000", "1e+06", "1e+09", "1e+12", "1e+15", "1e+18"]


@given(st.lists(st.floats(-1e12, 1e12), min_size=1, max_size=5))
def test_a_scale_keeps_the_order_and_its_ends(values: list[float]) -> None:
    scale = Scale.over(values, 10.0, 90.0).rounded()
    places = [scale.place(v) for v in sorted(values)]
    assert all(p is not None and 10.0 <= p <= 90.0 for p in places)
    assert places == sorted(places, key=lambda p: p or 0.0)
    assert all(10.0 <= place <= 90.0 for place, _ in scale.ticks())
