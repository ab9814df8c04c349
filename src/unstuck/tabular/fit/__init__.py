"""Train a dense network on a table, whatever the units of its columns.

`encoder` standardises every column and rounds it to a grid; `sweep` finds the learning rate by training sixteen
networks at once; `train` trains the ensemble in parallel lanes, each with its own held-out rows. Everything is numpy: a
step of a small network is a dozen small products, for which a call of numpy costs a third of torch's, and importing
torch alone takes longer than fitting a small table. Only a user's own module needs torch.
"""
