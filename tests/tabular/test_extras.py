"""Optional packages: one line if one is missing, and none of them for `unstuck run`."""

from __future__ import annotations

import subprocess
import sys
import tomllib
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

from unstuck.tabular.extras import EXTRAS, FORMATS, PACKAGES

ROOT = Path(__file__).parents[2]
HIDING = """
import sys

class Hidden:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {hidden!r}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)

sys.meta_path.insert(0, Hidden())
"""


def python(driver: str, hidden: set[str], cwd: Path) -> subprocess.CompletedProcess[str]:
    """Run a program with some packages hidden, as if they were not installed."""
    code = HIDING.format(hidden=hidden) + driver
    return subprocess.run([sys.executable, "-c", code], cwd=cwd, capture_output=True, text=True)


def unstuck(words: list[str], hidden: set[str], cwd: Path) -> subprocess.CompletedProcess[str]:
    """Run the command with some packages hidden."""
    return python(f"from unstuck.cli import main\nsys.exit(main({words!r}))", hidden, cwd)


@pytest.mark.parametrize(
    "words, needs",
    [
        (["fit", "t.csv", "--target", "y"], "pyarrow"),
        (["fit", "t.csv", "--target", "y", "--plot", "p.png"], "matplotlib"),
        (["fit", "pictures", "--target", "class"], "PIL"),
        (["predict", "m.model", "t.csv"], "pyarrow"),
        (["study", "rice"], "pyarrow"),
    ],
)
def test_a_missing_extra_is_one_line(words: list[str], needs: str, tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("x,y\n" + "".join(f"{i},{i % 2}\n" for i in range(20)))
    for name in ("cat/a.png", "dog/b.png"):
        (tmp_path / "pictures" / name).parent.mkdir(parents=True)
        (tmp_path / "pictures" / name).write_bytes(b"")
    done = unstuck(words, {needs}, tmp_path)
    verb = " ".join(words[: 2 if words[0] == "study" else 1])
    line = f"unstuck: {verb} needs {PACKAGES[needs]}: pip install 'unstuck[fit]'\n"
    assert (done.returncode, done.stdout, done.stderr) == (2, "", line)


@pytest.mark.parametrize("name", ["Classifier", "Regressor"])
def test_an_estimator_names_its_extra(name: str, tmp_path: Path) -> None:
    done = python(f"from unstuck import {name}", {"sklearn"}, tmp_path)
    assert done.returncode == 1
    last = done.stderr.strip().splitlines()[-1]
    assert last.endswith(f"MissingExtra: unstuck.{name} needs scikit-learn: pip install 'unstuck[fit]'")


def test_an_unknown_missing_module_is_not_called_an_extra(tmp_path: Path) -> None:
    done = python("from unstuck import Recipe", {"torch", "numpy"}, tmp_path)
    assert "ModuleNotFoundError" in done.stderr and "unstuck[fit]" not in done.stderr


def test_run_imports_no_optional_package(tmp_path: Path) -> None:
    everything = packages_distributions().keys() - allowed_modules()
    driver = """
import importlib, pkgutil, unstuck
import unstuck.diagnosis.pipeline
for part in ("cli", "recording", "tape", "source", "signals", "rules", "remedies", "replay", "diagnosis", "report"):
    package = importlib.import_module(f"unstuck.{part}")
    for module in pkgutil.walk_packages(package.__path__, package.__name__ + "."):
        if not module.name.endswith("__main__"):
            importlib.import_module(module.name)
print("imported")
unstuck.cli.main(["run", "--help"])
"""
    done = python(driver, everything | set(PACKAGES), tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("imported\nusage: unstuck")


def allowed_modules() -> set[str]:
    """The top-level modules of unstuck's dependencies and of theirs."""
    from importlib.metadata import requires

    from packaging.requirements import Requirement

    known, waiting = {"unstuck"}, [Requirement(line) for line in requires_of_the_project()]
    while waiting:
        one = waiting.pop()
        name = one.name.lower().replace("_", "-")
        if name in known or (one.marker is not None and not one.marker.evaluate({"extra": ""})):
            continue
        known.add(name)
        try:
            waiting += map(Requirement, requires(one.name) or [])
        except ModuleNotFoundError:  # a requirement of another platform
            continue
    found = packages_distributions()
    return {module for module, names in found.items() if {n.lower().replace("_", "-") for n in names} & known}


def requires_of_the_project() -> list[str]:
    """The dependencies of pyproject.toml."""
    return tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["dependencies"]


def test_the_extra_brings_every_optional_package() -> None:
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    for name, packages in EXTRAS.items():
        assert {line.partition(">=")[0] for line in extras[name]} == set(packages.values())


@pytest.mark.parametrize(
    ("start", "module"),
    [
        (b"\xd0\xcf\x11\xe0", "python_calamine"),
        (bytes(8) + b"DUCK", "duckdb"),
        (b"$FL2@(#)", "pyreadstat"),
    ],
)
def test_a_missing_package_of_a_format_is_one_line(start: bytes, module: str, tmp_path: Path) -> None:
    (tmp_path / "t").write_bytes(start + bytes(100))
    done = unstuck(["fit", "t", "--target", "y"], {module}, tmp_path)
    line = f"unstuck: fit needs {FORMATS[module]}: pip install 'unstuck[tables]'\n"
    assert (done.returncode, done.stdout, done.stderr) == (2, "", line)


def test_a_missing_mcp_is_one_line(tmp_path: Path) -> None:
    done = unstuck(["mcp"], {"mcp"}, tmp_path)
    assert (done.returncode, done.stderr) == (2, "unstuck: unstuck mcp needs mcp: pip install 'unstuck[mcp]'\n")


@pytest.mark.parametrize("module", ["onnx", "onnxscript"])
def test_a_missing_exporter_is_one_line(module: str, tmp_path: Path) -> None:
    done = unstuck(["export", "m.model", "--onnx", "m.onnx"], {module}, tmp_path)
    line = f"unstuck: export needs {module}: pip install 'unstuck[onnx]'\n"
    assert (done.returncode, done.stdout, done.stderr) == (2, "", line)
