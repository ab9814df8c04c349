"""The founding stories, runnable: each study is one command that repeats the experiment and explains it. See `story`.

A study is a module with `tell(request, progress) -> Study`, named in `command.STUDIES`. None is imported here: they
need torch, and `unstuck --help` does not.
"""
