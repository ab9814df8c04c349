"""The dossier: what no reader of the code can see of a run, as plain data and as text of a few thousand words."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from unstuck.diagnosis.looks import Entering, Layer, Looks, Tokens
from unstuck.diagnosis.model import Diagnosis
from unstuck.report import json as as_json
from unstuck.tape.site import Site

FORMAT = 1
LONGEST = 30_000
"""Characters of the text: some four thousand words."""
WIDE = 110
"""A list or a table that fits into so many characters stands on one line."""
CALLS, POINTS, SIDE, ROWS, EXPERIMENTS, FINDINGS = 60, 24, 12, 3, 24, 24
"""At most: calls of the step, points of a curve, pixels along a side, rows, experiments, findings."""


def plain(diagnosis: Diagnosis, looks: Looks, account: Mapping[str, Any]) -> dict[str, Any]:
    """By section. `account` is that of `unstuck.signals.account`."""
    told = as_json.plain(diagnosis)
    return as_json.strict(
        {
            "format": FORMAT,
            "run": _run(told, looks),
            "what enters": [_entering(e) for e in looks.entering],
            "tensors of the first batch": account.get("tensors"),
            "program by line": _program(looks.layers, account.get("ranges")),
            "targets": account.get("targets"),
            "loss": _loss(looks, account.get("terms of the loss")),
            "rates": {name: _curve(rates) for name, _, rates in looks.rates},
            **{name: account.get(name) for name in ("optimizers", "weights", "evaluations", "printed")},
            "headroom": told["headroom"],
            "micro-experiments": [f"{m['experiment']}: {m['why']}"[:240] for m in told["micro"] if m["made"]],
            "statements": [f"{_where(s.site)}: {s.what}" for s in diagnosis.statements],
            "findings": [_finding(f) for f in told["findings"][:FINDINGS]],
            "experiments": [
                f"{' + '.join(p['remedies']) or p['means']}: {p['verdict']}; {p['why']}"[:240]
                for p in told["proofs"][:EXPERIMENTS]
            ],
        }
    )


def render(dossier: Mapping[str, Any]) -> str:
    """The sections as indented text. Control characters, which a terminal would act on, become question marks."""
    text = "\n".join(_sections(dossier)) + "\n"
    text = "".join(c if c.isprintable() or c == "\n" else "?" for c in text)
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}\n... cut after {LONGEST} characters\n"


def render_json(dossier: Mapping[str, Any]) -> str:
    """The same as strict JSON."""
    return json.dumps(dossier, indent=1, allow_nan=False, ensure_ascii=False) + "\n"


def _run(told: Mapping[str, Any], looks: Looks) -> dict[str, Any]:
    kept = ("script", "stopped", "steps", "state", "learns", "metric", "scores", "recorded", "torch")
    run = {name: told[name] for name in kept}
    run["skill over the run (0: best constant answer, 1: perfection)"] = [_short(v) for v in looks.skill]
    return run | {"notes": [*told["notes"], *looks.notes][:8]}


def _entering(entry: Entering) -> dict[str, Any]:
    told: dict[str, Any] = {
        "name": entry.name, "kind": entry.kind, "shape": list(entry.shape), "dtype": entry.dtype,
        "enters at": _where(entry.site), "share of numbers that are NaN or infinite": _short(entry.nonfinite),
        "features": entry.features,
        "statistics": [f"{c.name}: mean {c.mean:.4g}, std {c.std:.4g}, {c.low:.4g} to {c.high:.4g}"
                       for c in entry.columns],
        "rows": [{"given": _shorts(r.given), "wanted": _shorts(r.wanted), "answered": _shorts(r.answered)}
                 for r in entry.rows[:ROWS]],
    }  # fmt: skip
    if entry.tokens:
        told["texts from"] = entry.named or None
        told["rows"] = [_tokens(row) for row in entry.tokens[:ROWS]]
    if entry.pictures:
        picture = entry.pictures[0]
        told["picture"] = {
            "first channel, 0 to 255": _thinned(picture.pixels),
            "0 is": _short(picture.low),
            "255 is": _short(picture.high),
        }
    return told


def _tokens(row: Tokens) -> dict[str, str]:
    parts = {"given": row.given, "wanted": row.wanted, "answered": row.answered}
    return {name: " ".join(texts) for name, texts in parts.items() if texts}


def _thinned(pixels: Sequence[Sequence[Sequence[int]]]) -> list[str]:
    """The first channel, a line of text per row."""
    stride = max(1, math.ceil(max(len(pixels), len(pixels[0]) if pixels else 1) / SIDE))
    return [" ".join(str(pixel[0]) for pixel in row[::stride]) for row in pixels[::stride]]


def _program(layers: Sequence[Layer], ranges: Any) -> list[str]:
    known = ranges if isinstance(ranges, list) and len(ranges) == len(layers) else [{}] * len(layers)
    lines = [_layer(layer, found) for layer, found in zip(layers, known, strict=True)]
    if len(lines) > CALLS:
        left = len(lines) - CALLS
        lines = [*lines[: CALLS // 2], f"... {left} calls are left out", *lines[-CALLS // 2 :]]
    return lines + ([f"no ranges: {ranges.get('not known')}"] if isinstance(ranges, dict) else [])


def _layer(layer: Layer, found: Mapping[str, str]) -> str:
    shape = "x".join(map(str, layer.shape)) or "one number"
    text = f"{_where(layer.site)} {layer.call}{' of ' * bool(layer.weights)}{', '.join(layer.weights)} -> {shape}"
    for when, scale in (("start", layer.start), ("end", layer.end)):
        spread = f" ({found[when]})" if when in found else ""
        text += f"; {when}: root mean square {scale:.3g}{spread}" if math.isfinite(scale) or spread else ""
    early, late = layer.gradient
    return text + (f"; gradient norm {early:.3g}, {late:.3g}" if math.isfinite(early) else "")


def _loss(looks: Looks, terms: Any) -> dict[str, Any]:
    losses = looks.losses[1]
    finite = [v for v in losses if math.isfinite(v)]
    told: dict[str, Any] = {"over the run": _curve(losses), "not finite": len(losses) - len(finite)}
    if finite:
        told |= {"first": _short(finite[0]), "smallest": _short(min(finite)), "last": _short(finite[-1])}
    return told | ({"terms": terms} if terms else {})


def _curve(values: Sequence[float]) -> list[float]:
    """Means over at most POINTS stretches of equal length, over what is finite."""
    size = max(1, math.ceil(len(values) / POINTS))
    parts = ([v for v in values[n : n + size] if math.isfinite(v)] for n in range(0, len(values), size))
    return [_short(sum(part) / len(part)) if part else math.nan for part in parts]


def _finding(finding: Mapping[str, Any]) -> dict[str, Any]:
    site = finding["site"] or {}
    return {
        "fault": finding["fault"],
        "at": f"{site['file']}:{site['line']}" if site else None,
        "role": finding["role"],
        "known": finding["known"],
        "effect": finding["effect"],
        "message": finding["message"],
        "because": finding["effect_because"],
    }


def _where(site: Site | None) -> str:
    return f"{site.file}:{site.line}" if site is not None else "-"


def _shorts(values: Sequence[float]) -> list[float]:
    return [_short(v) for v in values]


def _short(value: float) -> float:
    return float(f"{value:.4g}")


def _sections(dossier: Mapping[str, Any]) -> Iterator[str]:
    for name, part in dossier.items():
        if isinstance(part, dict | list):
            yield f"\n## {name}" if name != "run" else f"## {name}"
            yield from _lines(part, "")


def _lines(part: Any, lead: str) -> Iterator[str]:
    if isinstance(part, dict):
        for key, value in part.items():
            if _brief(value):
                yield f"{lead}{key}: {_inline(value)}"
            else:
                yield f"{lead}{key}:"
                yield from _lines(value, lead + "  ")
    elif isinstance(part, list):
        for item in part:
            yield from _item(item, lead)
    else:
        yield f"{lead}{part}"


def _item(item: Any, lead: str) -> Iterator[str]:
    if _brief(item):
        yield f"{lead}- {_inline(item)}"
    else:
        first, *rest = _lines(item, lead + "  ")
        yield f"{lead}- {first.strip()}"
        yield from rest


def _brief(value: Any) -> bool:
    numbers = isinstance(value, list) and all(isinstance(v, int | float) for v in value)
    return numbers or not isinstance(value, dict | list) or len(_inline(value)) <= WIDE


def _inline(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{k} {_inline(v)}" for k, v in value.items())
    if isinstance(value, list):
        return "[" + ", ".join(map(_inline, value)) + "]"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return "unknown" if value is None else f"{value:g}" if isinstance(value, float) else " ".join(str(value).split())
