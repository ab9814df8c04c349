"""From a tape to a diagnosis: a growing log of experiments, and pure functions of tape and log."""
