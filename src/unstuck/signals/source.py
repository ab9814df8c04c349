"""The person's files as Python sees them: what rules ask of the text."""

from unstuck.source.files import Loop
from unstuck.source.scopes import Binding, Function, Scope
from unstuck.source.values import Source

__all__ = ["Binding", "Function", "Loop", "Scope", "Source"]
