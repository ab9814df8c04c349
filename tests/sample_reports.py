"""Diagnoses made by hand, one of each kind that a face has to show."""

from __future__ import annotations

from dataclasses import dataclass

import msgspec

from unstuck.diagnosis.experiment import Arm, Experiment, Replay, Request, Rerun, Word
from unstuck.diagnosis.model import (
    Diagnosis,
    Effect,
    Evidence,
    FileChange,
    Finding,
    Metric,
    Outcome,
    Patch,
    Recording,
    Site,
    proven,
)


@dataclass(frozen=True)
class Named:
    """Stands for a remedy: the faces need no more than its name."""

    name: str


DIFF = """\
--- a/train.py
+++ b/train.py
@@ -28,7 +28,9 @@
 
 model = Model(1, 10, 1)
 criterion = nn.BCELoss()
+INPUT_MEAN, INPUT_STD = 92.1, 5.04
 
 for epoch in range(300):
-    y_pred = model(x_train)
+    y_pred = model((x_train - INPUT_MEAN) / INPUT_STD)
     loss = criterion(y_pred, y_train)
"""

OFFSET = Finding(
    fault="input-offset",
    message="the inputs lie around 92.1 and spread by only 5.04: to the network they are all alike",
    site=Site("train.py", 31, 13, 31, 27, "<module>"),
    evidence=(
        Evidence("distance of the mean from zero, in spreads", 18.27, "below 3"),
        Evidence("hidden units saturated at the start", 0.94, "below 0.5"),
    ),
    remedies=(Named("standardise-inputs"), Named("batchnorm-inputs")),
    severity="error",
    role="cause",
    effect=proven("median skill 0.02 without, 0.93 with, over 8 lanes"),
)

SATURATED = Finding(
    fault="saturated-hidden",
    message="94 % of the units of [linear] are saturated for every sample",
    site=Site("train.py", 20),
    severity="warning",
    role="consequence",
)

HINT = Finding("class-imbalance", "55 % of the labels are 1", severity="hint", role="hint")

CURVE = (0.0, 0.01, 0.02, 0.02, 0.01, 0.03, 0.02, 0.02)
HEALED = (0.0, 0.2, 0.5, 0.7, 0.82, 0.88, 0.91, 0.93)
FILES = (FileChange("train.py", "0" * 64, "changed"),)


def tried(
    names: tuple[str, ...],
    faults: tuple[str, ...],
    word: Word,
    why: str = "",
    without: tuple[float, ...] = CURVE,
    treated: tuple[float, ...] = CURVE,
    p: float | None = None,
    steps: int = 300,
) -> Experiment:
    """A replay in eight lanes."""
    request = Request(Replay(), tuple(map(Named, names)), faults)
    if word == "not-tried":
        return Experiment(request, word, why)
    arms = [Arm(curve, (0.69,) * len(curve), None, (curve[-1],) * 8) for curve in (without, treated)]
    return Experiment(request, word, why, f"8 lanes, {steps} steps", 8, steps, *arms, p, (-0.1, 0.2))


OUTCOMES = (
    Outcome("input-offset", "fired"),
    Outcome("saturated-hidden", "fired"),
    Outcome("class-imbalance", "fired"),
    Outcome("lr-too-high", "quiet"),
    Outcome("padding-unmasked", "not-applicable", "nothing is padded"),
    Outcome("eval-leak", "not-applicable", "no evaluation was seen"),
    Outcome("mode-error", "not-applicable", "no evaluation was seen"),
)

SICK = Diagnosis(
    script="train.py",
    torch="2.13.0",
    version="0.1.0",
    steps=300,
    stopped="budget",
    learns=False,
    state="does-not-learn",
    metric=Metric("accuracy", 0.549, 0.5492, 0.985),
    findings=(OFFSET, SATURATED, HINT),
    log=(
        tried(("standardise-inputs",), ("input-offset",), "heals", "skill 0.02 -> 0.93", CURVE, HEALED, 0.0012),
        tried(("set-rate",), ("lr-too-low",), "undecided", p=0.61, steps=100),
        tried(("redraw-weights",), ("bad-init",), "harms", "", CURVE, (0.0, float("nan"), -9.0), float("nan"), 100),
        tried(("split-first",), ("eval-leak",), "not-tried", "no replay can show what happens before the batches"),
        Experiment(
            Request(Rerun(), (Named("standardise-inputs"),), ("input-offset",)),
            "heals",
            "the patched script",
            contained="namespaces",
        ),
    ),
    decisive=0,
    patch=Patch("likely", True, DIFF, ("standardise-inputs",), FILES),
    outcomes=OUTCOMES,
    verified="the patched script itself: accuracy 0.549 before, 0.983 after",
    seconds={"recording": 2.5, "proving": 3.25},
)

HEALTHY = Diagnosis(
    script="train.py",
    torch="2.13.0",
    version="0.1.0",
    steps=1200,
    stopped="script ended",
    learns=True,
    state="learns-well",
    metric=Metric("accuracy", 0.104, 0.967),
    findings=(HINT,),
    outcomes=tuple(Outcome(o.fault, "quiet" if o.status == "fired" else o.status, o.reason) for o in OUTCOMES),
)

RATE = Finding(
    fault="lr-too-high",
    message="each step changes the weights by 40 % of their size",
    site=Site("model.py", 12),
    evidence=(Evidence("change per step, of the weights' size", 0.4, "about 0.001"),),
    remedies=(Named("set-rate"),),
    severity="error",
    role="cause",
)

SCALE = Finding(
    "input-scale",
    "the inputs of this layer vary by about 5.04 where weights expect about 1",
    OFFSET.site,
    (Evidence("spread of the inputs", 5.04, "about 1"),),
    OFFSET.remedies,
    "error",
    "cause",
)

TWO = Diagnosis(
    script="train.py",
    torch="2.13.0",
    version="0.1.0",
    steps=250,
    stopped="budget",
    learns=False,
    state="does-not-learn",
    metric=Metric("R2", 0.0, float("-inf"), 0.81),
    findings=(OFFSET, RATE),
    log=(
        tried(("standardise-inputs",), ("input-offset",), "no-difference", "", (-5.0,), (-4.0,), 0.4, 250),
        tried(("set-rate",), ("lr-too-high",), "helps", "", (-5.0,), (0.1,), 0.03, 250),
        tried(
            ("standardise-inputs", "set-rate"),
            ("input-offset", "lr-too-high"),
            "heals",
            "",
            (-5.0, -4.0, -3.0, -5.0),
            (0.0, 0.4, 0.7, 0.8),
            0.002,
            250,
        ),
    ),
    decisive=2,
    patch=Patch("safe", True, DIFF.replace("train.py", "my model.py"), ("standardise-inputs", "set-rate")),
    notes=("the patch for set-rate leaves the schedule as it is",),
)

UNRECORDED = Diagnosis(
    script="train.py",
    torch="2.13.0",
    version="0.1.0",
    steps=0,
    stopped="script failed: FileNotFoundError: no file [data.csv]",
    learns=None,
    outcomes=tuple(Outcome(o.fault, "not-applicable", "no training step was recorded") for o in OUTCOMES),
    notes=("no training step was recorded",),
)

MEASUREMENT = Diagnosis(
    script="night.py",
    torch="2.13.0",
    version="0.1.0",
    steps=400,
    stopped="script ended",
    learns=True,
    state="learns-well",
    metric=Metric("accuracy", 0.5, 0.94),
    findings=(
        Finding(
            fault="metric-error",
            message="the validation loss is added to total_loss_train, and total_loss_val stays 0",
            site=Site("night.py", 104, 12, 104, 50, "evaluate"),
            evidence=(Evidence("total_loss_val as printed", "0.0000", "the mean validation loss, 0.31"),),
            remedies=(Named("add-up-totals"),),
            severity="error",
            role="cause",
            known="observed",
            effect=proven("total_loss_val is printed as 0.0000; the mean validation loss is 0.31"),
        ),
    ),
    log=(tried(("add-up-totals",), ("metric-error",), "not-tried", "no replay can show what is printed"),),
    patch=Patch("safe", False, DIFF.replace("train.py", "night.py"), ("add-up-totals",)),
)

BOTH = Request(Replay(), OFFSET.remedies[:1], ("input-offset", "input-scale"))
RICE = msgspec.structs.replace(
    SICK,
    findings=(OFFSET, SCALE, *MEASUREMENT.findings),
    log=(msgspec.structs.replace(SICK.log[0], request=BOTH), *MEASUREMENT.log * 2),
)

SUSPECTED = Diagnosis(
    script="train.py",
    torch="2.13.0",
    version="0.1.0",
    steps=300,
    stopped="budget",
    learns=False,
    state="does-not-learn",
    recorded=Recording(300, None, "seconds", 25.0),
    log=(tried(("clear-gradients",), ("no-zero-grad",), "undecided", p=0.3, steps=12),),
    metric=Metric("accuracy", 0.549, 0.55),
    findings=(
        Finding(
            "no-zero-grad",
            "gradients are not cleared between steps: 300 of 300 steps used stale gradients",
            site=Site("train.py", 12),
            evidence=(Evidence("steps that started from stale gradients", 300, "0 of 300"),),
            remedies=(Named("clear-gradients"),),
            severity="warning",
            role="suspect",
            known="observed",
            effect=Effect("undecided", "8 lanes, 12 steps; fewer than 40 steps show nothing"),
        ),
    ),
)

ALL = {
    "sick": SICK,
    "healthy": HEALTHY,
    "two": TWO,
    "unrecorded": UNRECORDED,
    "measurement": MEASUREMENT,
    "suspected": SUSPECTED,
    "rice": RICE,
}
