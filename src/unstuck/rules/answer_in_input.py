"""The answer can be read off the input: a copy solves the task.

## Why it hurts
The loss falls to almost nothing within an epoch, and the network has learnt to repeat what it is given. Where the
answer is not at hand, in a generated text, a real forecast or a new table, it knows nothing. Usual reasons: the tokens
of a language model are not shifted by one against their targets (or shifted both in the script and in the model); the
attention has no causal mask, or a bidirectional layer or a centred convolution reads the future; a column of the table
is the target in another unit, or was computed from it.

## How it is seen
The recorded targets are compared with the recorded inputs, at the same position, at later ones, and column by column.
Where they agree, the input of a position is exchanged and the trained network asked again: a network that copies
answers with what was put there. An output that sees the whole sequence and whose target is the input at its own
position is an autoencoder, and is not reported; nor is a copy whose held-out score is as good.

## What to do
For a language model, give the loss `logits[:, :-1]` and `tokens[:, 1:]`, and attention a causal mask; pad convolutions
on the left only. Drop the column, or compute it from what is known at the time of the prediction.
"""

from __future__ import annotations

from collections.abc import Iterator

from unstuck.diagnosis.model import Effect, Evidence, Finding, proven
from unstuck.diagnosis.skill import SETTLED, WORTH
from unstuck.diagnosis.stages import Stage
from unstuck.micro import copied as example
from unstuck.micro.copies import Copied
from unstuck.signals.learning import Learning

STAGE = Stage.TARGETS
NEVER_MEANT = True
FAULT = "answer-in-input"
COPIES = 0.5
"""Share of exchanged inputs that become the answer: by chance, one in as many as there are tokens."""
LEANS = 0.8
"""Share of exchanged inputs that the answer moves towards: by chance a half, within 0.1 in 100 rows."""


def check(copied: Copied, learning: Learning | None) -> Iterator[Finding]:
    """Report an answer that is at hand, unless the script's own evaluation shows that it is there too."""
    if not copied.solved or _as_good(copied, learning):
        return
    evidence = [Evidence("share of the targets that stand in the input", round(copied.share, 3), "below 0.99")]
    if copied.follows is not None:
        answered = Evidence("exchanged inputs that become the answer", round(copied.follows, 2), "near 0")
        evidence.append(answered)
    if copied.held_out is not None:
        evidence.append(Evidence("the script's own last evaluation", round(copied.held_out, 3), "as in training"))
    # A column may be all there is to learn.
    known, effect = "guessed" if copied.form == "column" else "observed", _effect(copied, learning)
    yield Finding(FAULT, copied.what, copied.at, tuple(evidence), (), "error", known=known, effect=effect)


def _as_good(copied: Copied, learning: Learning | None) -> bool:
    """Whether the script's own evaluation shows that the answer is at hand there too. What is evaluated with the future
    in sight shows nothing."""
    if copied.held_out is None or copied.form == "later":
        return False
    return copied.held_out >= SETTLED if copied.form == "same" else not _worse(copied, learning)


def _worse(copied: Copied, learning: Learning | None) -> bool:
    return learning is not None and copied.held_out is not None and copied.held_out <= learning.final - WORTH


def _effect(copied: Copied, learning: Learning | None) -> Effect:
    shown = "exchange the input there, and the trained network's answer becomes what was put there in "
    if copied.form == "column":
        if _worse(copied, learning) and learning is not None:
            said = f"skill is {learning.final:.2f} in training and {copied.held_out:.2f} in the script's own evaluation"
            return proven(said)
        return Effect()
    if copied.follows is not None and copied.follows >= COPIES:
        return proven(f"{shown}{copied.follows:.0%} of the rows")
    if copied.form == "later" and copied.leans is not None and copied.leans >= LEANS:
        return proven(f"exchange the input there, and the trained network's answer moves to it in {copied.leans:.0%}")
    return Effect()


FIRES, QUIET = example.FIRES, example.QUIET
