"""Places where other programs let us in; each module imports its framework late."""
