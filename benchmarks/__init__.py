"""Measurements of the whole: silence on healthy programs, and a generator of sick ones with their truth."""
