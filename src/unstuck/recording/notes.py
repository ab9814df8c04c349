"""What could not be recorded, and why: notes on the tape, which the report shows to the person."""

from __future__ import annotations

from collections.abc import Callable

UNRECORDED = "not recorded: "
"""A note that begins so says what is not on the tape, and why."""
MOST = 20
"""Notes on a tape. An error of ours that recurs in every step with another message would fill it otherwise."""


class Notes:
    """Lines without repetition."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def add(self, line: str) -> None:
        """Add a line, unless it is there already."""
        if line not in self.lines and len(self.lines) < MOST:
            self.lines.append(line)

    def failure(self, what: str) -> Callable[[Exception], None]:
        """A handler for errors of our own, after which `what` ("a torch call") is not on the tape."""

        def note(error: Exception) -> None:
            first = (str(error).splitlines() or [""])[0]
            self.add(f"recording error: {type(error).__name__}: {first} ({what} was not recorded)")

        return note
