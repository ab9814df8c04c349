"""The person's files, the places in them, and exact splices.

An edit is a splice of text at a place found through Python's own syntax tree. Three things follow from that choice:
every byte that is not spliced stays as it was (comments, tabs, CRLF); columns are the interpreter's own, as
`co_positions` gives them (UTF-8 bytes); and a `Site` of the recorded text is still found after other remedies have
spliced the same file, because each `Sources` remembers what it was made from. So remedies compose in any order.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import TypeVar

from unstuck.diagnosis.model import Site
from unstuck.tape.model import Tape
from unstuck.tape.settings import is_settings

Node = TypeVar("Node", bound=ast.AST)
Span = tuple[int, int]

LINE = re.compile(r"[^\r\n]*(?:\r\n|\r|\n|$)")
TIGHT = (ast.Name, ast.Attribute, ast.Call, ast.Subscript, ast.Constant, ast.Tuple, ast.List, ast.JoinedStr)
"""Expressions that need no parentheses when an operator is put beside them."""


class Page:
    """One file, parsed: its nodes with their parents, and where each stands in the text (in characters)."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.tree = ast.parse(text.replace("\ufeff", " ", 1) if text.startswith("\ufeff") else text)
        self.parents = {child: node for node in ast.walk(self.tree) for child in ast.iter_child_nodes(node)}
        self._kinds: dict[type, list] = {}
        self._lines = [match.span() for match in LINE.finditer(text)]

    @property
    def newline(self) -> str:
        """The file's own line ending."""
        return "\r\n" if "\r\n" in self.text else "\n"

    def offset(self, line: int, column: int) -> int:
        """A 1-based line and a 0-based column in UTF-8 bytes, as a number of characters."""
        start, end = self._lines[min(line, len(self._lines)) - 1]
        return start + len(self.text[start:end].encode()[:column].decode(errors="ignore"))

    def line(self, number: int) -> Span:
        """Where a line starts and ends, its line ending included."""
        return self._lines[number - 1]

    def span(self, node: ast.AST) -> Span:
        """Where a node's text starts and ends (parentheses around it are not its own)."""
        if not isinstance(node, ast.expr | ast.stmt | ast.keyword | ast.arg | ast.alias):
            return 0, len(self.text)
        end = self.offset(node.end_lineno or node.lineno, node.end_col_offset or 0)
        return self.offset(_first_line(node), node.col_offset if _first_line(node) == node.lineno else 0), end

    def code(self, node: ast.AST) -> str:
        """A node's text."""
        return self.text[slice(*self.span(node))]

    def all(self, kind: type[Node], within: ast.AST | None = None) -> Iterator[Node]:
        """The nodes of a kind, in the order in which they stand."""
        if within is not None and within is not self.tree:
            return iter(sorted((n for n in ast.walk(within) if isinstance(n, kind)), key=self.span))
        if kind not in self._kinds:
            self._kinds[kind] = sorted((n for n in self.parents if isinstance(n, kind)), key=self.span)
        return iter(self._kinds[kind])

    def above(self, node: ast.AST) -> Iterator[ast.AST]:
        """The nodes around a node, from the inside out."""
        while node in self.parents:
            node = self.parents[node]
            yield node

    def around(self, node: ast.AST, kind: type[Node]) -> Node | None:
        """The nearest node of a kind around a node."""
        return next((n for n in self.above(node) if isinstance(n, kind)), None)

    def statement(self, node: ast.AST) -> ast.stmt:
        """The statement a node is part of."""
        return node if isinstance(node, ast.stmt) else next(n for n in self.above(node) if isinstance(n, ast.stmt))

    def function(self, node: ast.AST) -> ast.FunctionDef | ast.AsyncFunctionDef | None:
        """The function a node stands in."""
        return next((n for n in self.above(node) if isinstance(n, ast.FunctionDef | ast.AsyncFunctionDef)), None)

    def siblings(self, statement: ast.stmt) -> list[ast.stmt]:
        """The block a statement is one of."""
        parent = self.parents[statement]
        blocks = (block for _, block in ast.iter_fields(parent) if isinstance(block, list))
        return next(block for block in blocks if statement in block)


def _first_line(node: ast.AST) -> int:
    decorators = getattr(node, "decorator_list", [])
    return min([d.lineno for d in decorators] + [getattr(node, "lineno", 1)])


@lru_cache(maxsize=256)
def parsed(text: str) -> Page:
    """A text's page; raises SyntaxError (or ValueError) where it is not Python."""
    return Page(text)


@dataclass(frozen=True)
class Splice:
    """Characters `start` to `end` of a file give way to `text`."""

    file: str
    start: int
    end: int
    text: str

    def moved(self, span: Span) -> Span:
        """Where a span of the text before is in the text after; it stays tight around what it held."""
        grown = len(self.text) - (self.end - self.start)
        start = span[0] + grown if span[0] >= self.end else min(span[0], self.start)
        end = span[1] if span[1] <= self.start else max(span[1] + grown, start)
        return start, end


@dataclass(frozen=True)
class Argument:
    """One word of the command line gives way to another."""

    index: int
    text: str


@dataclass(frozen=True)
class Variable:
    """A variable of the environment is set."""

    name: str
    text: str


Change = Splice | Argument | Variable


@dataclass(frozen=True)
class Place:
    """A node in a file: what the moves are made on."""

    file: str
    page: Page
    node: ast.AST

    def of(self, node: ast.AST) -> Place:
        """Another node of the same page."""
        return Place(self.file, self.page, node)

    @property
    def code(self) -> str:
        """The node's text."""
        return self.page.code(self.node)

    @property
    def operand(self) -> str:
        """The node's text, as it may stand beside an operator."""
        return self.code if isinstance(self.node, TIGHT) else f"({self.code})"

    def instead(self, text: str) -> Splice:
        """The node gives way to a text."""
        return Splice(self.file, *self.page.span(self.node), text)

    def wrapped(self, before: str, after: str) -> tuple[Splice, Splice]:
        """Text in front of and behind the node, which gets parentheses unless the texts are a call's."""
        start, end = self.page.span(self.node)
        bare = isinstance(self.node, TIGHT) or (before.endswith("(") and after.startswith((")", ",")))
        left, right = ("", "") if bare else ("(", ")")
        return Splice(self.file, start, start, before + left), Splice(self.file, end, end, right + after)

    @property
    def indent(self) -> str | None:
        """The white space in front of the node's statement; None where other code stands on its line."""
        statement = self.page.statement(self.node)
        begin = self.page.span(statement)[0]
        lead = self.page.text[self.page.line(_first_line(statement))[0] : begin]
        return lead if not lead.strip() else None

    def preceded(self, *lines: str) -> Splice:
        """New lines in front of the node's statement, at its indentation (or on its line, where others stand there)."""
        statement = self.page.statement(self.node)
        if self.indent is None:
            at = self.page.span(statement)[0]
            return Splice(self.file, at, at, "".join(f"{line}; " for line in lines))
        at = self.page.line(_first_line(statement))[0]
        return Splice(self.file, at, at, self._lines(lines))

    def followed(self, *lines: str) -> Splice:
        """New lines behind the node's statement, at its indentation (or on its line, where others stand there)."""
        statement = self.page.statement(self.node)
        end, at = self.page.span(statement)[1], self.page.line(statement.end_lineno or statement.lineno)[1]
        if self.indent is None or self.page.text[end:at].lstrip(" \t").startswith(";"):
            return Splice(self.file, end, end, "".join(f"; {line}" for line in lines))
        missing = "" if self.page.text[:at].endswith(("\n", "\r")) else self.page.newline
        return Splice(self.file, at, at, missing + self._lines(lines))

    def removed(self) -> Splice:
        """The node's statement goes, with its line; `pass` stays where a block would be empty."""
        statement = self.page.statement(self.node)
        if len(self.page.siblings(statement)) == 1:
            return self.of(statement).instead("pass")
        first, last = self.page.line(_first_line(statement)), self.page.line(statement.end_lineno or statement.lineno)
        begin, end = self.page.span(statement)
        alone = not self.page.text[first[0] : begin].strip() and not self.page.text[end : last[1]].split("#")[0].strip()
        if alone:
            return Splice(self.file, first[0], last[1], "")
        rest = re.match(r"[ \t]*;[ \t]*", self.page.text[end : last[1]])
        return Splice(self.file, begin, end + rest.end(), "") if rest else self.of(statement).instead("pass")

    def _lines(self, lines: Iterable[str]) -> str:
        lead = self.indent or ""
        return "".join((lead + line if line else "") + self.page.newline for line in lines)


@dataclass(frozen=True)
class Sources:
    """The person's files (path relative to their folder -> text) and the script's path among them. Never changed."""

    files: dict[str, str]
    main: str
    before: Sources | None = None
    splices: tuple[Splice, ...] = ()
    """What was done to `before`, in the order in which it was done."""
    arguments: tuple[str, ...] = ()
    """The command line that the script is started with."""
    environment: tuple[tuple[str, str], ...] = ()
    """Variables of the environment that are numbers."""

    def pages(self) -> Iterator[Place]:
        """The whole of each file that is Python, the script first; what cannot be parsed is passed over."""
        for file in sorted(self.files, key=lambda file: (file != self.main, file)):
            if (page := self.page(file)) is not None:
                yield Place(file, page, page.tree)

    def page(self, file: str) -> Page | None:
        """A file's page; None where there is no such file or it is not Python."""
        if is_settings(file):  # JSON and YAML are often Python, too, but say something else
            return None
        try:
            return parsed(self.files[file])
        except (KeyError, SyntaxError, ValueError, RecursionError):
            return None

    def spliced(self, *splices: Splice) -> Sources:
        """The sources with splices made at once, all of them in places of the present text."""
        files = dict(self.files)
        order = sorted(enumerate(_once(splices)), key=lambda s: (s[1].start, s[0]), reverse=True)
        for _, splice in order:
            text = files[splice.file]
            files[splice.file] = text[: splice.start] + splice.text + text[splice.end :]
        return Sources(files, self.main, self, tuple(s for _, s in order), self.arguments, self.environment)

    def started(self, *changes: Argument | Variable) -> Sources:
        """The sources, started with other arguments or variables of the environment."""
        arguments, environment = list(self.arguments), dict(self.environment)
        for change in changes:
            if isinstance(change, Argument):
                arguments[change.index] = change.text
            else:
                environment[change.name] = change.text
        return replace(self, arguments=tuple(arguments), environment=tuple(sorted(environment.items())))

    def span(self, site: Site) -> Span | None:
        """Where a site of the recorded text is now, in characters; None where its file is not here."""
        if self.before is None:
            return _span(self.page(site.file), site)
        span = self.before.span(site)
        for splice in self.splices:
            span = splice.moved(span) if span and splice.file == site.file else span
        return span

    def calls(self, site: Site) -> list[Place]:
        """The expressions that a site may mean, best first: the one of exactly its text, else those it ends, else the
        calls on its line from the inside out."""
        page, span = self.page(site.file), self.span(site)
        if page is None or span is None:
            return []
        found = sorted(page.all(ast.expr), key=lambda n: page.span(n)[1] - page.span(n)[0])
        if site.column >= 0:
            exact = [n for n in found if page.span(n) == span]
            ending = [n for n in found if isinstance(n, ast.Call) and page.span(n)[1] == span[1]]
            found = exact or ending
        else:
            found = [n for n in found if isinstance(n, ast.Call) and span[0] <= page.span(n)[0] < span[1]]
        return [Place(site.file, page, n) for n in found]


def started(tape: Tape) -> Sources:
    """The sources on a tape, with the command line and the environment that its script was started with."""
    main = tape.script if tape.script in tape.sources else next(iter(tape.sources), tape.script)
    command = tape.facts.command
    arguments, environment = (command.args, command.environment) if command is not None else ((), ())
    return Sources(dict(tape.sources), main, arguments=arguments, environment=environment)


def _once(splices: Iterable[Splice]) -> list[Splice]:
    # Two moves may both want the same line or replacement; a closing parenthesis may well be put in twice.
    same = [s for s in splices if s.text.endswith("\n") or s.start != s.end]
    return list(dict.fromkeys(same)) + [s for s in splices if s not in same]


def _span(page: Page | None, site: Site) -> Span | None:
    if page is None or site.line < 1:
        return None
    if site.column < 0:
        return page.line(min(site.line, page.text.count("\n") + 1))
    last = site.end_line if site.end_line > 0 else site.line
    return page.offset(site.line, site.column), page.offset(last, site.end_column)
