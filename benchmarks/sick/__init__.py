"""Sick programs with their truth: healthy scripts composed from parts, and faults that are edits of those parts."""
