"""An explanation as plain data, with its page and its display in a notebook."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from html import escape
from pathlib import Path
from typing import Any

from unstuck.tabular.fit.explain.contributions import Contributions
from unstuck.tabular.fit.explain.dependence import Dependence, Interaction
from unstuck.tabular.fit.explain.drift import Drift
from unstuck.tabular.fit.explain.growth import Growth
from unstuck.tabular.fit.explain.importance import Importance
from unstuck.tabular.fit.explain.suspects import Alone, Odd
from unstuck.tabular.fit.figures import Figures

HEIGHT = 720
"""Of the frame in a notebook, in pixels."""


@dataclass(frozen=True)
class Explanation:
    """What a model uses, how, and where it errs, on rows that it was not fitted to. Empty parts were not asked for or
    need targets."""

    title: str
    rows: int
    """The number of explained rows."""
    measured: str
    """Which rows those are."""
    measure: str
    """The loss behind the importances; empty without targets."""
    outputs: tuple[str, ...]
    importances: tuple[Importance, ...]
    dependences: tuple[Dependence, ...]
    interactions: tuple[Interaction, ...]
    contributions: tuple[Contributions, ...]
    figures: Figures | None = None
    growth: Growth | None = None
    mislabelled: tuple[Odd, ...] = ()
    checked: int = 0
    """How many targets were compared with predictions by networks that had not seen them."""
    alone: tuple[Alone, ...] = ()
    drifts: tuple[Drift, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def leaks(self) -> tuple[Alone, ...]:
        """Columns that nearly are the target."""
        return tuple(one for one in self.alone if one.leaks)

    @property
    def page(self) -> str:
        """The page as HTML: self-contained, without scripts."""
        from unstuck.tabular.fit.explain.page import render

        return render(self)

    def html(self, path: str | Path) -> None:
        """Write the page atomically. Raises OSError."""
        path = Path(path)
        beside = path.with_name(path.name + ".new")
        try:
            beside.write_text(self.page, encoding="utf-8")
            beside.replace(path)
        finally:
            beside.unlink(missing_ok=True)

    def plain(self) -> dict[str, Any]:
        """As plain data for JSON."""
        return asdict(self)

    def __repr__(self) -> str:
        first = ", ".join(" + ".join(one.columns) for one in self.importances[:3])
        return f"<Explanation of {self.rows:,} rows: most important {first}>"

    def _repr_html_(self) -> str:
        frame = f'<iframe sandbox srcdoc="{escape(self.page)}" title="{escape(self.title)}" width="100%"'
        return f'{frame} height="{HEIGHT}" style="border: 0"></iframe>'
