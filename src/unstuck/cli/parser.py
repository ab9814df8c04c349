"""The command line: verbs, options, and where the script's own arguments begin."""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable
from pathlib import Path

from unstuck import __version__
from unstuck.recording.script import Target

VERBS = {
    "run": "record a script, find why it does not learn, prove the fix, report",
    "try": "put a change on trial: paired runs of the script with and without it",
    "record": "only record a script; use show, prove and fix on the tape",
    "show": "print what is on a tape",
    "dossier": "write what flows through a recorded run, for a reader who does not have its data",
    "prove": "diagnose a tape",
    "fix": "print or apply the patch that a tape proves",
    "explain": "explain a fault, or list all faults",
    "mcp": "serve these verbs to a coding agent, over the Model Context Protocol on stdin and stdout",
    "fit": "train a network on a table",
    "predict": "predict the rows of a table with a fitted model",
    "export": "write a fitted model with its column preparation as an ONNX file",
    "study": "re-run a study: heart-rate, rice or cifar",
}

EFFORT = {"quick": 0.4, "normal": 1.0, "thorough": 4.0}
"""Factor on how long a default recording and the experiments may take."""
VALUED = {
    *("--steps", "--seconds", "--effort", "--json", "--sarif", "--html", "--patch", "-o", "--out"),
    *("--with", "--set", "--seeds", "--worth", "--ask"),
}
"""Options that take a value: the word after one of these is not the script."""


class Refused(Exception):
    """The command line is wrong; the message is one line."""


def read(words: list[str]) -> tuple[argparse.Namespace, Target | None]:
    """Our options and, for run and record, the script; argparse itself handles --help and mistakes."""
    if words and words[0] not in (*VERBS, "-h", "--help", "--version"):
        words = ["run", *words]
    launches = words[:1] in (["run"], ["record"], ["try"])
    own, theirs = _split(words) if launches else (words, [])
    parser = _parser()
    options = parser.parse_args(own)
    if options.verb is None:
        parser.error("which script?")
    return options, _target(options.verb, theirs) if launches else None


def _split(words: list[str]) -> tuple[list[str], list[str]]:
    # The script is the first word that is neither an option of ours nor the value of one.
    at = 1
    while at < len(words) and words[at].startswith("-") and words[at] not in ("-m", "--", "-"):
        at += 2 if words[at] in VALUED else 1
    return words[:at], words[at + 1 :] if words[at : at + 1] == ["--"] else words[at:]


def _target(verb: str, theirs: list[str]) -> Target:
    if theirs in ([], ["-m"]):
        raise Refused(f"which script? unstuck {verb} [OPTIONS] SCRIPT [ARGS...]")
    if theirs[0] == "-m":
        return Target(None, theirs[1], tuple(theirs[2:]))
    return Target(theirs[0], None, tuple(theirs[1:]))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        "unstuck",
        usage=_usage("[run]") + f"\n       unstuck {{{','.join(VERBS)}}} ...",
        description="Finds why a PyTorch training script does not learn, proves the fix and writes the patch.",
        epilog="Exit code of run: 0 nothing to act on, 1 a cause or a suspect was found, 2 the command line was wrong, "
        "3 the script ended or failed before anything could be said.",
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=f"unstuck {__version__}")
    verbs = parser.add_subparsers(dest="verb", metavar="VERB", title="verbs", prog="unstuck")
    for name, does in VERBS.items():
        usage = _usage(name) if name in ("run", "record", "try") else None
        one = verbs.add_parser(name, help=does, description=does.capitalize() + ".", usage=usage, allow_abbrev=False)
        _add_options(name, one.add_argument)
    return parser


def _usage(verb: str) -> str:
    return f"unstuck {verb} [OPTIONS] SCRIPT [ARGS...]\n       unstuck {verb} [OPTIONS] -m MODULE [ARGS...]"


def _add_options(verb: str, add: Callable[..., object]) -> None:
    if verb in ("run", "record"):
        add("--steps", type=_positive(int), metavar="N", help="record at most N optimizer steps")
        add("--seconds", type=_positive(float), metavar="S", help="... or S seconds from its first backward on")
    if verb in ("run", "record", "prove", "fix", "dossier"):
        what = {"record": "recording", "run": "recording and experiments"}.get(verb, "experiments")
        add("--effort", choices=tuple(EFFORT), default="normal", help=f"how long {what} may take: x0.4, x1 or x4")
    if verb == "try":
        _add_trial_options(add)
    if verb == "record":
        add("-o", "--out", required=True, metavar="TAPE", help="tape folder to write")
    if verb in ("show", "prove", "fix", "dossier"):
        add("tape", metavar="TAPE", help="a folder written by record")
    if verb in ("run", "prove", "show"):
        add("--html", metavar="FILE", help="write one self-contained HTML page with figures")
    if verb == "dossier":
        add("--json", metavar="FILE", help="write it as JSON ('-' for stdout) instead of as text")
    if verb in ("run", "prove"):
        add("--json", metavar="FILE", help="write the diagnosis as JSON ('-' for stdout)")
        add("--sarif", metavar="FILE", help="write the findings as SARIF, for code scanning ('-' for stdout)")
        add("--quiet", action="store_true", help="print only the verdict")
        add("--verbose", action="store_true", help="print everything: all experiments, hints, rules that do not apply")
    if verb in ("run", "fix"):
        add("--patch", metavar="FILE", help="write the patch as a diff for `git apply`, relative to SCRIPT's folder")
        add("--write", action="store_true", help="apply the patch to the script (keeps a .orig copy)")
    if verb in ("run", "prove", "fix", "try", "dossier", "mcp"):
        add("--rerun-uncontained", action="store_true", help="run the patched script though it cannot be contained")
    if verb == "run":
        add("--ask", metavar="COMMAND", help="a command that reads the dossier and answers with causes (docs/ask.md)")
    if verb in ("run", "dossier"):
        add("--no-prove", action="store_true", help="stop after the findings")
    if verb == "explain":
        add("fault", nargs="?", metavar="FAULT", help="a fault's name; without one, the list")
    if verb in ("fit", "predict"):
        _add_fit_options(verb, add)
    if verb == "export":
        add("model", metavar="MODEL", help="model file written by fit --model, or saved in Python")
        add("--onnx", required=True, metavar="FILE", help="ONNX file to write")
    if verb == "study":
        add("study", metavar="NAME", choices=("heart-rate", "rice", "cifar"), help="heart-rate, rice or cifar")
        add("--seeds", type=_positive(int), metavar="N", help="number of random seeds")
        add("--epochs", type=_positive(int), metavar="N", help="maximum number of epochs")
        add("--data", metavar="PATH", help="path to the dataset (rice, cifar)")
        add("--html", metavar="FILE", help="write a self-contained HTML page with figures")
        add("--quick", action="store_true", help="fewer seeds and epochs")


def _add_trial_options(add: Callable[..., object]) -> None:
    add("--patch", metavar="FILE", help="a unified diff, relative to SCRIPT's folder ('-' for stdin)")
    add("--with", dest="other", metavar="OTHER.py", help="another script in the place of SCRIPT")
    add("--set", dest="values", action="append", default=[], metavar="NAME=VALUE",
        help="another value where NAME gets it: an option of the script, or a number in its text")  # fmt: skip
    add("--seeds", type=_seeds, metavar="N", help="pairs of runs at most (default: 8)")
    add("--worth", type=_positive(float), metavar="D", help="the difference worth having (default: 0.05)")
    add("--by", default="", metavar="WORDS", help="compare by the printed number that has these words before it")
    add("--higher-is-better", action="store_true", help="of the number that both programs print")
    add("--lower-is-better", action="store_true", help="... or the other way round")
    add("--json", metavar="FILE", help="write the result as JSON ('-' for stdout)")
    add("--quiet", action="store_true", help="print only the verdict")


def _seeds(text: str) -> int:
    if not text.isdigit() or int(text) < 2:
        raise argparse.ArgumentTypeError(f"{text} is not a whole number of at least 2")
    return int(text)


def _add_fit_options(verb: str, add: Callable[..., object]) -> None:
    if verb == "predict":
        add("model", metavar="MODEL", help="model file written by fit --model")
    add(
        "data",
        metavar="DATA",
        nargs="+",
        help="CSV, TSV, Parquet, Arrow, spreadsheets, JSON, SQLite, DuckDB, Stata, SAS, SPSS, image folders; several "
        "files, a folder, a pattern, or - for stdin",
    )
    if verb == "fit":
        _add_what_is_fitted(add)
        _add_how_it_is_fitted(add)
    else:
        _add_predictions(add)
    _add_reading(add)


def _add_what_is_fitted(add: Callable[..., object]) -> None:
    add("--target", action="append", required=True, metavar="COLUMN", help="column to predict; several: A,B,C")
    add("--drop", action="append", default=[], metavar="COLUMN", help="column to ignore; several: A,B,C")
    add("--weight", metavar="COLUMN", help="column of row weights")
    add("--group", metavar="COLUMN", help="rows with one value of it are held out together (patients, shops)")
    add("--time", metavar="COLUMN", help="hold out the latest rows, and train on earlier ones")
    add(
        "--task",
        choices=("binary", "multiclass", "multilabel", "regression"),
        help="task type (default: chosen from the target)",
    )
    add("--loss", metavar="LOSS", help="for numbers: squared (the mean), absolute (the median) or quantile:Q")
    add("--model", metavar="OUT", help="save the model to this file")
    add("--checkpoint", metavar="FOLDER", help="checkpoint folder (default: OUT.checkpoint)")
    add("--resume", action="store_true", help="continue an interrupted training from its checkpoint")
    apart = {"type": _share, "metavar": "SHARE", "help": "hold out this share of the rows for evaluation"}
    add("--holdout", **apart)
    add("--test", metavar="FILE", help="evaluate on this file (pass DATA again to use its `test` split)")


def _add_how_it_is_fitted(add: Callable[..., object]) -> None:
    add("--hidden", type=_widths, metavar="N,N", help="hidden layer sizes, e.g. 300 or 64,64")
    add("--epochs", type=_positive(int), metavar="N", help="maximum epochs per network")
    add("--rate", type=_positive(float), metavar="R", help="learning rate (default: found by a sweep)")
    add("--minutes", type=_positive(float), metavar="M", help="time limit")
    add("--ray", metavar="ADDRESS", help="train on a Ray cluster: auto, HOST:PORT, or local:N for N processes here")
    add("--seed", type=int, default=0, metavar="N", help="random seed")
    add("--json", metavar="FILE", help="write all results as JSON ('-' for stdout)")
    add("--plot", metavar="FILE", help="plot losses, confusion matrix and calibration (.png or .svg)")
    add("--html", metavar="FILE", help="explain the model on one HTML page (fits it about twice more)")
    add("--quiet", action="store_true", help="print only the summary line")


def _add_predictions(add: Callable[..., object]) -> None:
    add("-o", "--out", metavar="FILE", help="output file: .csv, .tsv, .parquet or .arrow (default: CSV on stdout)")
    add("--interval", type=_share, metavar="LEVEL", help="add intervals that hold this share of the targets")
    add("--html", metavar="FILE", help="explain the model on these rows on one HTML page")
    add("--keep", action="append", default=[], metavar="COLUMN", help="copy this column to the output")


def _add_reading(add: Callable[..., object]) -> None:
    add("--text", action="append", default=[], metavar="COLUMN", help="column to read as text; several: A,B,C")
    add("--missing", action="append", default=[], metavar="WORD", help="a word that means a missing value")
    add("--dates", choices=("dmy", "mdy"), help="order of day and month in dates that leave it open")
    add("--table", metavar="NAME", help="sheet of a spreadsheet, or table of a database, to read")
    add("--delimiter", metavar="C", help="column delimiter of text files ('tab' for a tab; default: detected)")
    add("--decimal", metavar="C", help="decimal mark, . or , (default: detected)")
    add("--encoding", metavar="NAME", help="text encoding, e.g. utf-8 or cp1252 (default: detected)")
    add(
        "--header",
        action=argparse.BooleanOptionalAction,
        help="whether the first row holds column names (default: detected)",
    )
    add("--split", metavar="NAME", help="split of a folder to read (default: train)")


def _share(text: str) -> float:
    value = float(text)
    if not 0 < value < 1:
        raise argparse.ArgumentTypeError(f"{text} is not between 0 and 1")
    return value


def _widths(text: str) -> tuple[int, ...]:
    try:
        widths = tuple(map(int, text.split(",")))
    except ValueError:
        widths = ()
    if not widths or not all(0 < width <= 1 << 16 for width in widths):
        raise argparse.ArgumentTypeError(f"{text!r} is no list of widths, as in 300 or 64,64")
    return widths


def _positive(kind: type[int] | type[float]) -> Callable[[str], float]:
    def read(text: str) -> float:
        value = kind(text)
        if not 0 < value < float("inf"):
            raise argparse.ArgumentTypeError(f"{text} is not above zero")
        return value

    read.__name__ = "number"
    return read


def check_output(path: str | None) -> None:
    """Raise Refused if an output file cannot be written."""
    if path is None or path == "-":
        return
    file = Path(path)
    if file.is_dir():
        raise Refused(f"{path} is a folder")
    if not file.parent.is_dir():
        raise Refused(f"{path}: there is no folder {file.parent}")
    if not os.access(file if file.exists() else file.parent, os.W_OK):
        raise Refused(f"{path} cannot be written")
