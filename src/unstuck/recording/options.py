"""The options of a recording process."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from unstuck.recording.budget import LEAST, LONGEST, SECONDS, STEPS, Limits
from unstuck.recording.script import Target


def arguments(argv: Sequence[str]) -> tuple[argparse.Namespace, Target]:
    """The options before `--`, and the target after it."""
    cut = list(argv).index("--")
    rest = argv[cut + 1 :]
    options = _parser().parse_args(argv[:cut])
    if rest[0] == "-m":
        return options, Target(None, rest[1], tuple(rest[2:]))
    return options, Target(rest[0], None, tuple(rest[1:]))


def limits(given: argparse.Namespace | Sequence[str]) -> Limits:
    """The budget among some options."""
    options = given if isinstance(given, argparse.Namespace) else _parser().parse_args(list(given))
    return Limits(options.steps, options.seconds, options.least, options.longest)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m unstuck.recording")
    parser.add_argument("--out", help="folder for the tape")
    parser.add_argument("--ranks", help="folder where the processes of the run meet")
    parser.add_argument("--beside", action="store_true", help="one of the others: its tape stays where they meet")
    parser.add_argument("--steps", type=int, default=STEPS)
    parser.add_argument("--seconds", type=float, default=SECONDS)
    parser.add_argument("--least", type=int, default=LEAST)
    parser.add_argument("--longest", type=float, default=LONGEST)
    parser.add_argument("--plain", action="store_true", help="run the target without recording it")
    parser.add_argument("--shift", type=int, help="what is added to every seed that the target sets")
    parser.add_argument("--wakeup", type=int, help="a pipe that gets the number of every signal that is handled")
    return parser
