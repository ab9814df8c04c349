"""A dense network that learns whatever units its data comes in.

The path of a table: `encoder` writes every column in units of its own, on a grid; `sweep` finds the learning rate by
training sixteen networks at once; `train` trains the ensemble, lane beside lane, each with its own held-out rows.
All of it is numpy: a step of a small network is a dozen small products, for which numpy's call costs a third of
torch's, and torch's import alone lasts longer than a whole fit of a small table. torch is imported where a person's
own module is to be fitted, and nowhere else.
"""
