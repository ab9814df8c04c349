"""Reports made by hand, one of each kind that a face has to show."""

from __future__ import annotations

from dataclasses import dataclass

import msgspec

from unstuck.diagnosis.model import Arm, Evidence, Finding, Metric, Outcome, Patch, Proof, Report, Site


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

OUTCOMES = (
    Outcome("input-offset", "fired"),
    Outcome("saturated-hidden", "fired"),
    Outcome("class-imbalance", "fired"),
    Outcome("lr-too-high", "quiet"),
    Outcome("padding-unmasked", "not-applicable", "nothing is padded"),
    Outcome("eval-leak", "not-applicable", "no evaluation was seen"),
    Outcome("mode-error", "not-applicable", "no evaluation was seen"),
)

SICK = Report(
    script="train.py",
    torch="2.13.0",
    version="0.1.0",
    steps=300,
    stopped="budget",
    learns=False,
    metric=Metric("accuracy", 0.549, 0.5492, 0.985),
    findings=(OFFSET, SATURATED, HINT),
    proofs=(
        Proof(
            ("standardise-inputs",),
            ("input-offset",),
            "heals",
            "skill rises to 0.93 and stays",
            8,
            300,
            Arm(CURVE, (0.69,) * 8, 0.5492),
            Arm(HEALED, (0.69, 0.5, 0.4, 0.3, 0.2, 0.1, 0.08, 0.05), 0.985),
            0.0012,
        ),
        Proof(("set-rate",), ("lr-too-low",), "no-difference", "", 8, 100, Arm(CURVE), Arm(CURVE), 0.61),
        Proof(
            ("redraw-weights",),
            ("bad-init",),
            "harms",
            "",
            8,
            100,
            Arm(CURVE),
            Arm((0.0, float("nan"), float("-inf"))),
            float("nan"),
        ),
        Proof(("split-first",), ("eval-leak",), "not-tried", "no replay can show what happens before the batches"),
    ),
    patch=Patch("likely", True, DIFF, ("standardise-inputs",)),
    outcomes=OUTCOMES,
    verified="the patched script itself: accuracy 0.549 before, 0.983 after",
    seconds={"recording": 2.5, "proving": 3.25},
)

HEALTHY = Report(
    script="train.py",
    torch="2.13.0",
    version="0.1.0",
    steps=1200,
    stopped="script ended",
    learns=True,
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

TWO = Report(
    script="train.py",
    torch="2.13.0",
    version="0.1.0",
    steps=250,
    stopped="budget",
    learns=False,
    metric=Metric("R2", 0.0, float("-inf"), 0.81),
    findings=(OFFSET, RATE),
    proofs=(
        Proof(("standardise-inputs",), ("input-offset",), "no-difference", "", 8, 250, Arm((-5.0,)), Arm((-4.0,)), 0.4),
        Proof(("set-rate",), ("lr-too-high",), "helps", "", 8, 250, Arm((-5.0,)), Arm((0.1,)), 0.03),
        Proof(
            ("standardise-inputs", "set-rate"),
            ("input-offset", "lr-too-high"),
            "heals",
            "",
            8,
            250,
            Arm((-5.0, -4.0, -3.0, -5.0)),
            Arm((0.0, 0.4, 0.7, 0.8)),
            0.002,
        ),
    ),
    patch=Patch("safe", True, DIFF.replace("train.py", "my model.py"), ("standardise-inputs", "set-rate")),
    notes=("the patch for set-rate leaves the schedule as it is",),
)

UNRECORDED = Report(
    script="train.py",
    torch="2.13.0",
    version="0.1.0",
    steps=0,
    stopped="script failed: FileNotFoundError: no file [data.csv]",
    learns=None,
    outcomes=tuple(Outcome(o.fault, "not-applicable", "no training step was recorded") for o in OUTCOMES),
    notes=("no training step was recorded",),
)

MEASUREMENT = Report(
    script="night.py",
    torch="2.13.0",
    version="0.1.0",
    steps=400,
    stopped="script ended",
    learns=True,
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
            demonstrated="line 104 adds to total_loss_train; nothing adds to total_loss_val, which line 110 prints",
        ),
    ),
    proofs=(Proof(("add-up-totals",), ("metric-error",), "not-tried", "no replay can show what is printed"),),
    patch=Patch("safe", False, DIFF.replace("train.py", "night.py"), ("add-up-totals",)),
)

RICE = msgspec.structs.replace(
    SICK,
    findings=(OFFSET, SCALE, *MEASUREMENT.findings),
    proofs=(msgspec.structs.replace(SICK.proofs[0], faults=("input-offset", "input-scale")), *MEASUREMENT.proofs * 2),
)

SUSPECTED = Report(
    script="train.py",
    torch="2.13.0",
    version="0.1.0",
    steps=300,
    stopped="budget",
    learns=False,
    metric=Metric("accuracy", 0.549, 0.55),
    findings=(
        Finding(
            "lr-too-low", "each step changes the weights by 1e-9 of their size", severity="warning", role="suspect"
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
