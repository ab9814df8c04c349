"""What stops a fit before it begins: a request that cannot be carried out."""


class CannotFit(Exception):
    """The request cannot be carried out; the message is one line."""
