"""The person's files as Python sees them: what rules ask of the text."""

from unstuck.diagnosis.model import Site
from unstuck.source.files import Loop
from unstuck.source.origins import Origin
from unstuck.source.scopes import Binding, Function, Scope
from unstuck.source.text import Sources, started
from unstuck.source.values import Source

__all__ = ["Binding", "Function", "Loop", "Origin", "Scope", "Site", "Source", "Sources", "started"]
