"""Errors that end a fit."""


class CannotFit(Exception):
    """The request cannot be carried out; the message is one line."""
