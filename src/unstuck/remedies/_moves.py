"""The edits that remedies share, under the name by which remedies ask for them."""

from unstuck.source.edits import *  # noqa: F403
