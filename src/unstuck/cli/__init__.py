"""The command line: words in, text and exit code out. The only package that prints or exits."""

from unstuck.cli.commands import main

__all__ = ["main"]
