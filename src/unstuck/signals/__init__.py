"""Readings of a tape, one per file. A reading is a frozen class with `read(tape)`; a rule names those it needs."""
