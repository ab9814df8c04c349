"""Runs its arguments through `unstuck.recording.launch`, as the recorder does but without recording."""

import sys

from unstuck.recording.launch import Target, execute, leave

if __name__ == "__main__":
    words = sys.argv[1:]
    target = Target(None, words[1], tuple(words[2:])) if words[0] == "-m" else Target(words[0], None, tuple(words[1:]))
    leave(execute(target))
