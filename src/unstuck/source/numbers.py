"""Numbers as people write them: constant expressions, words of a command line, pairs in a settings file."""

from __future__ import annotations

import ast
import operator
import re
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

from unstuck.tape.settings import NUMBER, is_settings

ARITHMETIC: dict[type, Callable[[float, float], float]] = {
    ast.Add: operator.add, ast.Sub: operator.sub, ast.Mult: operator.mul, ast.Div: operator.truediv,
    ast.Pow: operator.pow, ast.FloorDiv: operator.floordiv,
}  # fmt: skip
PAIR = re.compile(
    r"""(?P<key>[A-Za-z_][\w.\-]*)["']?[ \t]*[:=][ \t]*(?:&\w+[ \t]+)?"""
    rf"""(?P<quote>["']?)(?P<number>{NUMBER.pattern})(?P=quote)"""
    r"""(?=\s*(?:[,}\])\#;]|//|$))""",
    re.MULTILINE | re.VERBOSE,
)
"""`lr: 0.1`, `"lr": 0.1`, `lr = "0.1"`: what JSON, YAML, TOML and INI files have in common."""
GIVEN = re.compile(rf"(?P<before>[-+]*(?P<name>[A-Za-z_][\w.\-/]*)=)(?P<number>{NUMBER.pattern})")
LARGE = 1e6
"""No power with an exponent or a base beyond it is worked out."""


class Word(NamedTuple):
    """A number on the command line."""

    at: int
    name: str
    """Of its option, without dashes ("" where it stands alone)."""
    value: float
    template: str
    """The word, with {} for the number."""
    said: str


class Pair(NamedTuple):
    """A number under a key in a settings file, and where its digits stand."""

    key: str
    value: float
    start: int
    end: int


def constant(node: ast.expr) -> float | None:
    """The number that an expression without names is, however it is written; None for any other."""
    match node:
        case ast.Constant(value=bool()):
            return None
        case ast.Constant(value=int() | float() as value):
            return float(value)
        case ast.Constant(value=str(text)) if NUMBER.fullmatch(text.strip()):
            return float(text)
        case ast.UnaryOp(op=ast.USub() | ast.UAdd() as sign, operand=operand):
            value = constant(operand)
            return value if value is None or isinstance(sign, ast.UAdd) else -value
        case ast.BinOp(left=left, op=op, right=right) if type(op) in ARITHMETIC:
            return _worked_out(ARITHMETIC[type(op)], constant(left), constant(right))
    return None


def _worked_out(what: Callable[[float, float], float], left: float | None, right: float | None) -> float | None:
    if left is None or right is None or max(abs(left), abs(right)) > LARGE:
        return None
    try:
        value = what(left, right)
    except (ArithmeticError, ValueError):
        return None
    return value if isinstance(value, float) else None


def same_name(name: str) -> str:
    """A name as options, fields and keys have in common: `--learning-rate` and `LEARNING_RATE` are one."""
    return name.lstrip("-").replace("-", "").replace("_", "").lower()


def arguments(words: Sequence[str]) -> Iterator[Word]:
    """The numbers on a command line: `--lr 0.1`, `--lr=0.1`, `optim.lr=0.1`, `0.1`."""
    for index, word in enumerate(words):
        before = words[index - 1] if index else ""
        if match := GIVEN.fullmatch(word):
            name = match["name"]
            yield Word(index, name, float(match["number"]), f"{match['before']}{{}}", match["before"].rstrip("="))
        elif NUMBER.fullmatch(word):
            option = before if before.startswith("-") and not NUMBER.fullmatch(before) and "=" not in before else ""
            yield Word(index, option.lstrip("-"), float(word), "{}", option or f"argument {index + 1}")


def pairs(file: str, text: str) -> Iterator[Pair]:
    """The numbers under keys in a settings file; none where it is no such file."""
    for match in PAIR.finditer(text) if is_settings(file) else ():
        line = text[text.rfind("\n", 0, match.start()) + 1 : match.start()]
        if "#" not in line and not line.lstrip().startswith((";", "//")):
            number = match["number"].replace("_", "")
            yield Pair(match["key"].rpartition(".")[2], float(number), match.start("number"), match.end("number"))
