"""The causal order of faults: what stands in an earlier stage explains what stands in a later one.

Every rule says its own `STAGE`; nothing else orders faults, so a rule of another distribution ranks like ours.
"""

from __future__ import annotations

from enum import IntEnum


class Stage(IntEnum):
    """Where in the making of a training run a fault stands, causes before consequences."""

    WIRING = 0
    """The program does not do what its text says: a step, a gradient or a weight is left out."""
    DATA = 1
    """What enters the network is broken."""
    TARGETS = 2
    """What is asked for is broken, or belongs to other rows."""
    OUTPUT = 3
    """The last layer and the loss do not fit each other, or the task."""
    UNITS = 4
    """Inputs or targets are far from unit size."""
    SAMPLING = 5
    """Batches do not represent the data: order, class shares."""
    INIT = 6
    """First weights."""
    ARCHITECTURE = 7
    """Layers, normalisation, nonlinearity."""
    REGULARISATION = 8
    """Dropout, decay, modes, schedules."""
    OPTIMISATION = 9
    """Rates and steps."""
    MECHANISM = 10
    """What happens inside a network that does not learn, whatever the reason."""
    CAPACITY = 11
    """The network is too small for the task: only where nothing else explains the run."""
    REPORTING = 12
    """The training is as it should be; what is said of it is not."""
