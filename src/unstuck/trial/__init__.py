"""A change on trial: paired, contained runs of two programs from the same seeds, and what they show."""
