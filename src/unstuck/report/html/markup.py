"""Build HTML elements. Texts and attributes are escaped on output."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypeAlias
from xml.etree import ElementTree
from xml.etree.ElementTree import Element

Child: TypeAlias = "Element | str | Iterable[Child] | None"
KEPT = "\t\n"
POLICY = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"
"""A page may only use its own style; the browser blocks all network requests."""


def tag(name: str, *children: Child, **attributes: str | float | None) -> Element:
    """An element. `class_` becomes class, `stroke_width` becomes stroke-width; attributes that are None are omitted."""
    named = {key.rstrip("_").replace("_", "-"): _plain(value) for key, value in attributes.items() if value is not None}
    element = Element(name, named)
    for child in _flat(children):
        _append(element, child)
    return element


def written(element: Element) -> str:
    """The element as HTML."""
    return ElementTree.tostring(element, encoding="unicode", method="html")


def document(title: str, style: str, body: Element) -> str:
    """A complete page that loads nothing, in its own style; write it as UTF-8."""
    head = tag(
        "head",
        tag("meta", charset="utf-8"),
        tag("meta", http_equiv="Content-Security-Policy", content=POLICY),
        tag("meta", name_="viewport", content="width=device-width, initial-scale=1"),
        tag("meta", name_="color-scheme", content="light dark"),
        tag("title", title),
        tag("style", style),
    )
    return "<!doctype html>\n" + written(tag("html", head, body, lang="en")) + "\n"


def _flat(children: Iterable[Child]) -> Iterable[Element | str]:
    for child in children:
        if isinstance(child, Element | str):
            yield child
        elif child is not None:
            yield from _flat(child)


def _append(element: Element, child: Element | str) -> None:
    """Append a child; ElementTree stores text before the first child and after children in different attributes."""
    if isinstance(child, Element):
        element.append(child)
    elif len(element):
        element[-1].tail = (element[-1].tail or "") + _plain(child)
    else:
        element.text = (element.text or "") + _plain(child)


def _plain(value: str | float) -> str:
    """Coordinates to a tenth of a pixel; texts as they can be written."""
    if not isinstance(value, str):
        return f"{value:.1f}".removesuffix(".0")
    return clean(value)


def clean(text: str) -> str:
    """The text without control characters and lone surrogates."""
    kept = text.encode("utf-8", "replace").decode("utf-8")
    return "".join(sign for sign in kept if sign >= " " or sign in KEPT)
