"""Errors that end a fit."""


class CannotFit(ValueError):
    """The request cannot be carried out; the message is one line."""
