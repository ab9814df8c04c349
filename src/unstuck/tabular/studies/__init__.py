"""Reproducible studies: each is one command that repeats an experiment and explains it. See `story`.

A study is a module with `tell(request, progress) -> Study`, listed in `command.STUDIES`. None is imported here: they
need torch, and `unstuck --help` does not.
"""
