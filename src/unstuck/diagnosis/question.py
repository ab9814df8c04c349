"""Ask a command of the person's for causes: a question in JSON on its stdin, a list of answers from its stdout.

The command runs as the person's own, through their shell; this process opens no connection.
"""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import suppress
from typing import Any

import msgspec

FORMAT = 1
SECONDS = 600.0
"""Until a command that does not answer is ended: a language model on a laptop may take minutes."""
MOST = 8
"""Answers that are taken; each with a patch costs a run of the script."""
LONGEST = 2000
"""Characters of a text in an answer."""
FENCED = re.compile(r"```(?:json)?\s*\n(.*?)```", re.DOTALL)


class NoAnswer(Exception):
    """The command gave none; the message says why."""


class Answer(msgspec.Struct, frozen=True):
    """One cause, as the command says it."""

    cause: str
    file: str | None = None
    line: int | None = None
    patch: str | None = None
    """A unified diff relative to the script's folder; None where it gives none."""
    why: str = ""


def question(dossier: Mapping[str, Any], sources: Mapping[str, str], faults: list[str]) -> dict[str, Any]:
    """What the command is given."""
    return {
        "format": FORMAT,
        "task": "Say why this training run does not learn as it should. Answer with a JSON list, the likeliest cause "
        "first, of objects with cause (a name from `faults`, or your own words), file, line, patch (a unified diff "
        "relative to the script's folder, or null) and why (one sentence).",
        "faults": faults,
        "dossier": dict(dossier),
        "sources": dict(sources),
    }


def asked(command: str, told: str, seconds: float = SECONDS) -> list[Answer]:
    """The answers of a command to a question in JSON. Raises NoAnswer."""
    try:
        process = subprocess.Popen(
            command, shell=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=None, start_new_session=True
        )
    except OSError as error:
        raise NoAnswer(f"it could not be started: {error.strerror}") from None
    try:
        out, _ = process.communicate(told.encode("utf-8", "replace"), timeout=seconds)
    except subprocess.TimeoutExpired:
        raise NoAnswer(f"it did not answer within {seconds:g} seconds") from None
    finally:
        _end(process)
    if process.returncode:
        raise NoAnswer(f"it ended with exit code {process.returncode}")
    return answers(out.decode("utf-8", "replace"))


def _end(process: subprocess.Popen[bytes]) -> None:
    """Stop it and what it started, where it still runs."""
    if process.poll() is None:
        with suppress(OSError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def answers(text: str) -> list[Answer]:
    """The answers in a text: a JSON list, an object with `answers`, or either in a fenced block. Raises NoAnswer."""
    for part in (text, *reversed(FENCED.findall(text))):
        try:
            given = json.loads(part)
        except (ValueError, RecursionError):
            continue
        given = given.get("answers") if isinstance(given, dict) else given
        if isinstance(given, list):
            return list(_plain(given))[:MOST]
    raise NoAnswer("its output is no JSON list of answers")


def _plain(given: list[Any]) -> Iterator[Answer]:
    for item in given:
        cause = item.get("cause") if isinstance(item, dict) else None
        if isinstance(cause, str) and cause.strip():
            line = item.get("line")
            yield Answer(
                cause.strip()[:LONGEST],
                _text(item.get("file")),
                line if isinstance(line, int) and not isinstance(line, bool) and line > 0 else None,
                item["patch"] if isinstance(item.get("patch"), str) and item["patch"].strip() else None,
                _text(item.get("why")) or "",
            )


def _text(given: Any) -> str | None:
    return " ".join(given.split())[:LONGEST] if isinstance(given, str) and given.strip() else None
