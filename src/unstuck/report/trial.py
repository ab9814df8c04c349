"""A trial as text and as JSON."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Iterator

import msgspec

from unstuck.trial.model import FORMAT, Trial

WORDS = {
    "heals": "heals: the change makes the run clearly better, by at least half of what it lacked",
    "helps": "helps: the change makes the run better",
    "no-difference": "no difference",
    "harms": "harms: the change makes the run worse",
    "undecided": "undecided",
}
UNKNOWN = "which way is better is not known"
SCALES = {
    "share": "", "per cent": " (per cent as shares)", "ratio": " (of natural logarithms: 0.05 is 5 %)",
    "size": " (as a share of the number's size)",
}  # fmt: skip


def verdict(trial: Trial) -> str:
    """The verdict's line."""
    return f"{trial.script}: {WORDS[trial.word]}; {trial.why}.\n"


def render(trial: Trial, width: int = 100, colour: bool = False, ascii: bool = False) -> str:
    """The verdict, what it rests on, and every pair."""
    lines = [verdict(trial).rstrip("\n"), f"Change: {trial.change}."]
    lines += list(_measured(trial)) + list(_pairs(trial)) + [f"Note: {note}." for note in trial.notes]
    wrapped = (textwrap.wrap(line, width, subsequent_indent="  ") if line[:1] != " " else [line] for line in lines)
    text = "\n".join(line for group in wrapped for line in group) + "\n"
    return text.encode("ascii", "replace").decode() if ascii else text


def _measured(trial: Trial) -> Iterator[str]:
    measure = trial.measure
    if measure is None:
        return
    where = f' in "{measure.line}"' if measure.line else ""
    way = f"{measure.better} is better ({measure.because})" if measure.better != "unknown" else UNKNOWN
    yield f"Compared by: {measure.name}{where}; {way}."
    if trial.difference is not None and trial.interval is not None and trial.p is not None:
        low, high = trial.interval
        sign = "positive is better" if measure.better != "unknown" else "positive is higher"
        yield (
            f"Difference: {trial.difference:+.3g}{SCALES[measure.scale]}, 95 % interval {low:.3g} to {high:.3g}, "
            f"one-sided p {trial.p:.2g}; {sign}, {trial.worth:g} is worth having."
        )
    calls = ", ".join(trial.seeds)
    yield f"Seeds: {f'those that the script sets ({calls})' if calls else 'the script sets none; they'} are shifted " \
          "alike in both programs of a pair."  # fmt: skip


def _pairs(trial: Trial) -> Iterator[str]:
    if trial.pairs:
        yield f"  pair      original   changed      (at most {trial.most} pairs)"
    for n, pair in enumerate(trial.pairs, 1):
        yield f"  {n:<8}{_number(pair.original):>10}{_number(pair.changed):>10}"


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.4g}"


def as_json(trial: Trial) -> str:
    """The trial as JSON, with `format` as its version; what is not finite becomes null."""
    plain = {"format": FORMAT, **msgspec.to_builtins(trial)}
    plain["power"] = f"{len(trial.pairs)} pairs of at most {trial.most}"
    return json.dumps(_finite(plain), indent=2, ensure_ascii=False) + "\n"


def _finite(value: object) -> object:
    if isinstance(value, float):
        return value if abs(value) < float("inf") else None
    if isinstance(value, dict):
        return {k: _finite(v) for k, v in value.items()}
    return [_finite(v) for v in value] if isinstance(value, list | tuple) else value
