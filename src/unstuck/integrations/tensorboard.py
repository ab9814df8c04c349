"""The diagnosis in TensorBoard: `UnstuckCallback(report=to_tensorboard(writer))`."""

from __future__ import annotations

from typing import Any

from unstuck.integrations.tags import tags
from unstuck.integrations.training import Told
from unstuck.integrations.watching import Report

MARGIN = "    "
"""Markdown shows lines with this in front as they are."""


def to_tensorboard(writer: Any, step: int | None = None) -> Told:
    """A receiver of reports that adds them to a `torch.utils.tensorboard.SummaryWriter` as text.

    The tab Text then holds `unstuck/report`, `unstuck/patch` where there is one, and `unstuck/state`, `/causes` and
    `/suspects`. `step` is the step that they are written at. The writer is flushed and stays open.
    """

    def write(report: Report) -> None:
        for name, text in _texts(report).items():
            writer.add_text(f"unstuck/{name}", text, step)
        writer.flush()

    return write


def _texts(report: Report) -> dict[str, str]:
    patch = report.diagnosis["patch"]
    shown = {"report": report.text} | ({"patch": patch["diff"]} if patch is not None else {})
    return tags(report) | {name: _as_it_is(text) for name, text in shown.items()}


def _as_it_is(text: str) -> str:
    return "\n".join(MARGIN + line for line in text.splitlines())
