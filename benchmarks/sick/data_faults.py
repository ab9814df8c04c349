"""Faults of the data: units, missing values, labels, order, shapes."""

from __future__ import annotations

from collections.abc import Iterator

from benchmarks.sick.fault import Edit, Fault, all_of, drop, instead, layered, on, put, swap, where
from benchmarks.sick.recipe import Script

UNITED = "x = (x - x.min()) / (x.max() - x.min())\n"
Y_PREPARE = """y_mean, y_std = y_train.mean(), y_train.std()
y_train, y_test = (y_train - y_mean) / y_std, (y_test - y_mean) / y_std
"""
ONLY_STD = "std = x_train.std(0)\nx_train, x_test = x_train / std, x_test / std\n"
BY_MAX = "top = x_train.abs().max()\nx_train, x_test = x_train / top, x_test / top\n"
TRAIN_ONLY = "x_train = (x_train - x_train.mean(0)) / x_train.std(0)\n"
table = on("table")
SCALES = {
    "microvolts": "x = x * 2e-6  # volts\n",
    "thousandths": "x = x * 1e-3\n",
    "grams": "x = x * 400\n",
    "counts": "x = (x * 5000).round()  # raw counts of the converter\n",
}
OFFSETS = {
    "kelvin": "x = 288 + 6 * x\n",
    "modest": "x = 12 + 1.2 * x\n",
    "hectopascal": "x = 1013 + x\n",
    "negative": "x = x - 60  # dBm\n",
}
BY_INPUT = (
    "input-scale",
    "feature-scale-mix",
    "saturated-hidden",
    "dead-relu",
    "lr-too-low",
    "lr-too-high",
    "vanishing-gradient",
)


def scales() -> Iterator[Fault]:
    """Raw units fed as they come."""
    for shade, units in SCALES.items():
        also = (
            "feature-scale-mix",
            "lr-too-low",
            "vanishing-gradient",
            "lr-too-high",
            "exploding-gradient",
            "dead-relu",
        )
        yield Fault(
            "input-scale",
            shade,
            drop("prepare"),
            put("units", units),
            also,
            on("table", "series"),
            "standardise the inputs",
        )
    pixels = put("units", "x = np.clip(90 + 40 * x, 0, 255).round()  # grey values\n")
    also = ("input-offset", "lr-too-high", "exploding-gradient", "dead-relu")
    yield Fault("input-scale", "pixels", drop("prepare"), pixels, also, on("image"), "standardise the pixels")
    times = put("prepare", "x_train, x_test = x_train * 255, x_test * 255\n")
    yield Fault(
        "input-scale", "times-255", times, also=also, fits=on("table", "image"), repair="leave the factor 255 out"
    )


def offsets() -> Iterator[Fault]:
    """A mean far from zero."""
    for shade, units in OFFSETS.items():
        yield Fault(
            "input-offset", shade, drop("prepare"), put("units", units), BY_INPUT, table, "standardise the inputs"
        )
    kelvin = put("units", OFFSETS["kelvin"])
    yield Fault(
        "input-offset", "std-only", instead("prepare", ONLY_STD), kelvin, BY_INPUT, table, "subtract the mean too"
    )
    yield Fault("input-offset", "by-max", instead("prepare", BY_MAX), kelvin, BY_INPUT, table, "standardise instead")


def mixes() -> Iterator[Fault]:
    """Columns on very different scales."""
    units = put("units", "x = x * np.logspace(0, 4, x.shape[1])\n")
    raw = put("units", "x[:, 0] = 7000 + 1500 * x[:, 0]\nx[:, -1] = 0.8 + 0.05 * x[:, -1]\n")
    several = where(table, lambda r: r.about.n_in > 2)
    also = (
        "input-scale",
        "input-offset",
        "lr-too-high",
        "lr-too-low",
        "exploding-gradient",
        "dead-relu",
        "saturated-hidden",
    )
    for shade, base in (("decades", units), ("area", raw)):
        yield Fault("feature-scale-mix", shade, drop("prepare"), base, also, several, "standardise every column")
        whole = swap("prepare", "x_train.mean(0), x_train.std(0)", "x_train.mean(), x_train.std()")
        yield Fault(
            "feature-scale-mix", f"{shade}-one-std", whole, base, also, several, "standardise every column by itself"
        )


def missing() -> Iterator[Fault]:
    """NaN and infinity."""
    also = ("exploding-gradient",)
    gaps = "x[rng.random(x.shape) < {share}] = np.nan  # lost readings\nx = np.nan_to_num(x)\n"
    for shade, share in (("few", 0.001), ("many", 0.05)):
        fill = swap("units", "x = np.nan_to_num(x)\n", "")
        base = put("units", gaps.format(share=share))
        yield Fault(
            "input-nonfinite", f"nan-{shade}", fill, base, also, on("table", "series"), "fill the missing values"
        )
    logs = put("units", "x = np.round(np.exp(x) * 3)  # counts\nx = np.log1p(x)\n")
    yield Fault(
        "input-nonfinite", "log-zero", swap("units", "np.log1p(x)", "np.log(x)"), logs, also, table, "use log1p"
    )


def degenerate() -> Iterator[Fault]:
    """Inputs that carry nothing any more."""
    united = put("units", UNITED)
    also = ("label-misaligned", "vanishing-gradient", "input-scale")
    for shade, line in (
        ("uint8", "x = x.astype(np.uint8)\n"),
        ("floor", "x = x // 1\n"),
        ("first-row", "x = np.repeat(x[:1], len(x), axis=0)\n"),
    ):
        std = swap("prepare", "/ std", "/ (std + 1e-6)")
        fits = on("table", "image")
        yield Fault(
            "input-degenerate", shade, put("units", line), all_of(united, std), also, fits, "keep the fractions"
        )


def labels() -> Iterator[Fault]:
    """Labels out of range, or of other rows."""
    for shade, put_on, taken_off, kind in (
        ("one-based", "y = y + 1  # classes 1, 2, ...\n", "y = y - 1\n", "multi"),
        ("one-and-two", "y = y + 1  # coded 1 / 2\n", "y = y - 1\n", "binary"),
        ("minus-one", "y = 2 * y - 1  # coded -1 / 1\n", "y = (y + 1) // 2\n", "binary"),
        ("mask-255", "y = y * 255  # mask values\n", "y = y // 255\n", "binary"),
    ):
        base, harm = put("units", put_on + taken_off), swap("units", taken_off, "")
        also = ("metric-error", "wrong-loss", "exploding-gradient")
        yield Fault("label-range", shade, harm, base, also, on(kind), "bring the labels into the range the loss takes")
    for shade, line in (
        ("x-shuffled", "x = x[rng.permutation(len(x))]\n"),
        ("shuffled-twice", "x, y = x[rng.permutation(len(x))], y[rng.permutation(len(y))]\n"),
        ("y-sorted", "y = np.sort(y)\n"),
        ("shifted", "y = np.roll(y, 1)\n"),
    ):
        yield Fault("label-misaligned", shade, put("units", line), also=(), repair="keep rows and labels together")


def imbalance() -> Iterator[Fault]:
    """A rare class without any counterweight, scored by the mean recall."""
    value = "((output > 0) & (y_test == 1)).sum().item() / (y_test == 1).sum().item()"
    other = "((output <= 0) & (y_test == 0)).sum().item() / (y_test == 0).sum().item()"
    for shade, share in (("4-percent", 0.04), ("8-percent", 0.08)):
        rare = put(
            "units",
            f"keep = (y == 0) | (rng.random(len(y)) < {share})  # as rare as in the field\n"
            "x, y = x[keep], y[keep]\nx = x + 0.5 * rng.normal(size=x.shape)\n",
        )
        weight = f"pos_weight=torch.tensor({0.7 / share:.0f}.0)"
        base = all_of(
            swap("data", "1600", "9000"),
            rare,
            swap("tensors", "n_train = 1200\n", "n_train = int(len(x) * 0.75)\n"),
            instead("criterion", f"criterion = nn.BCEWithLogitsLoss({weight})\n"),
            swap(
                "evaluate", "((output > 0).long() == y_test.long()).float().mean().item()", f"0.5 * ({value} + {other})"
            ),
        )
        harm = swap("criterion", weight, "")
        fits = where(on("binary", "table"), lambda r: r.batch not in (1, 8))
        also = ("under-capacity", "metric-error")
        yield Fault("class-imbalance", shade, harm, base, also, fits, "weight the rare class (or sample it more often)")


def order() -> Iterator[Fault]:
    """Sorted by class, and read in that order."""
    stored = put(
        "prepare",
        "order = torch.argsort(y_train)  # as the archive stores them\n"
        "x_train, y_train = x_train[order], y_train[order]\n",
    )
    also = ("lr-too-high",)
    fits = where(on("binary", "multi"), lambda r: r.batch in (1, 8, 64))
    yield Fault(
        "not-shuffled", "loader", swap("batches", "shuffle=True", "shuffle=False"), stored, also, fits, "shuffle"
    )
    arange = swap("loop", "torch.randperm(n_train)", "torch.arange(n_train)")
    yield Fault("not-shuffled", "slices", arange, stored, also, fits, "shuffle the rows in every epoch")


def targets() -> Iterator[Fault]:
    """Targets in large or small units, and shapes that broadcast."""
    for shade, units in (
        ("thousands", "y = 5000 + 1800 * y\n"),
        ("offset", "y = 250 + y\n"),
        ("millions", "y = 4e6 * y\n"),
        ("tiny", "y = 2e-5 * y\n"),
    ):
        base = all_of(put("units", units), put("prepare", Y_PREPARE))
        also = ("lr-too-low", "lr-too-high", "exploding-gradient", "dead-relu", "saturated-hidden")
        fits = where(on("number"), lambda r: r.batch != 1)
        yield Fault("target-scale", shade, swap("prepare", Y_PREPARE, ""), base, also, fits, "standardise the target")
    number, also = on("number"), ("under-capacity", "wrong-loss")
    shape = swap("step", "model(xb).squeeze(1)", "model(xb)")
    not_one = where(number, lambda r: r.batch != 1)
    yield Fault("target-shape", "column", shape, also=also, fits=not_one, repair="squeeze the prediction")
    column = swap("step", "criterion(output, yb)", "criterion(output, yb.unsqueeze(1))")
    yield Fault("target-shape", "target-column", column, also=also, fits=not_one, repair="leave the target flat")


def mismatches() -> Iterator[Fault]:
    """Training and test rows prepared differently, axes in the wrong order, padding that counts."""
    kelvin: Edit = put("units", OFFSETS["kelvin"])
    harm = instead("prepare", TRAIN_ONLY)
    yield Fault("preprocess-mismatch", "test-raw", harm, kelvin, ("metric-error",), table, "scale the test rows alike")
    raw = swap("evaluate", "model(x_test)", "model(x_test * std + mean)")
    yield Fault(
        "preprocess-mismatch", "unscaled-again", raw, kelvin, ("metric-error",), table, "do not undo the scaling"
    )
    cells = layered(lambda layers: tuple(x.replace(", batch_first=True", "") for x in layers))
    also = ("under-capacity", "graph-detached")
    yield Fault("axes-swapped", "batch-first", cells, also=also, fits=on("series"), repair="batch_first=True")

    def scrambled(script: Script) -> Script:
        text = script.data.replace("axis=2)[:, 2:26]", "axis=1)[:, :, 2:26]\nx = x.transpose(0, 2, 1)")
        return script.with_(data=text).swap("data", "x.transpose(0, 2, 1)", "x.transpose(0, 2, 1)")

    view = swap("data", "x.transpose(0, 2, 1)", "x.reshape(len(x), 24, 2)")
    yield Fault(
        "axes-swapped", "reshape", view, scrambled, ("under-capacity",), on("series"), "transpose instead of reshape"
    )
    long = swap("data", "(1600, 14)", "(1600, 250)")
    plain = layered(lambda ls: tuple("PLAIN-MEAN" if x == "MEAN" else x.replace(", padding_idx=0", "") for x in ls))
    yield Fault(
        "padding-unmasked", "mean", plain, long, ("under-capacity",), on("tokens"), "leave the padding out of the mean"
    )


def faults() -> Iterator[Fault]:
    """All of them."""
    for family in (scales, offsets, mixes, missing, degenerate, labels, imbalance, order, targets, mismatches):
        yield from family()
