"""One program per way of fitting the same table: each reads it, fits, and prints its seconds and its accuracy.

    python benchmarks/contestants/NAME.py TABLE SEED

They import nothing of each other's, so that a whole process can be timed, its imports included.
"""
