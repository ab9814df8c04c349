"""The wheel and the source distribution: what is in them, and what an installed one does in another folder.

`make release-check` builds both, in dist/, and runs this with each Python that it is given.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tarfile
import zipfile
from email.parser import Parser
from pathlib import Path

import pytest

pytestmark = pytest.mark.release
ROOT = Path(__file__).parents[2]
PYTHON = os.environ.get("UNSTUCK_PYTHON", sys.executable)
"""The Python that the distributions are installed for."""
LARGEST = 3_000_000
"""Bytes of either file: source code and no data."""
EXAMPLE = ROOT / "examples"


def distribution(kind: str) -> Path:
    """The one that was built; both of them are of the version in the source."""
    (found,) = (ROOT / "dist").glob(f"*{kind}")
    return found


def in_wheel() -> set[str]:
    with zipfile.ZipFile(distribution(".whl")) as archive:
        return set(archive.namelist())


def in_source() -> set[str]:
    with tarfile.open(distribution(".tar.gz")) as archive:
        return {name.partition("/")[2] for name in archive.getnames()}


def test_the_wheel_holds_every_file_of_the_package_and_nothing_else() -> None:
    ours = (p for p in (ROOT / "src/unstuck").rglob("*") if p.is_file() and "__pycache__" not in p.parts)
    wanted = {p.relative_to(ROOT / "src").as_posix() for p in ours}
    held = {name for name in in_wheel() if not name.startswith("unstuck-")}
    assert held == wanted
    assert {"unstuck/py.typed", "unstuck/report/html/diagnosis.html.jinja"} <= held


def test_the_source_holds_the_package_its_pages_and_no_tests() -> None:
    held = in_source()
    wanted = {"LICENSE", "README.md", "CHANGELOG.md", "SECURITY.md", "docs/start.md", "examples/rice.csv"}
    assert wanted <= held
    assert {f"src/{name}" for name in in_wheel() if name.startswith("unstuck/")} <= held
    assert not [name for name in held if name.startswith(("tests/", "benchmarks/")) or name.endswith((".npy", ".pt"))]


@pytest.mark.parametrize("kind", [".whl", ".tar.gz"])
def test_neither_is_large(kind: str) -> None:
    assert distribution(kind).stat().st_size < LARGEST


def test_the_metadata_say_what_pip_and_its_index_need() -> None:
    with zipfile.ZipFile(distribution(".whl")) as archive:
        (name,) = (n for n in archive.namelist() if n.endswith(".dist-info/METADATA"))
        said = Parser().parsestr(archive.read(name).decode())
    import re

    version = re.search(r'__version__ = "(.+)"', (ROOT / "src/unstuck/__init__.py").read_text()).group(1)  # type: ignore[union-attr]
    assert said["Version"] == version and f"## [{version}]" in (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    assert {"notebook", "mcp", "fit"} <= set(said.get_all("Provides-Extra") or ())
    supported = {c.rpartition(" ")[2] for c in said.get_all("Classifier") or () if "Python :: 3." in c}
    assert supported == {"3.11", "3.12", "3.13"} and said["Requires-Python"] == ">=3.11"
    assert "Typing :: Typed" in said.get_all("Classifier", [])


@pytest.fixture(scope="module", params=[".whl", ".tar.gz"], ids=["wheel", "source"])
def installed(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the programs of a new environment in which one of the two was installed, and nothing by hand."""
    folder = tmp_path_factory.mktemp("installed")
    subprocess.run([PYTHON, "-m", "venv", str(folder / "env")], check=True)
    pins = [line for line in (ROOT / "requirements.lock").read_text().splitlines() if line.startswith("torch==")]
    (folder / "torch.txt").write_text("\n".join(pins))
    words = ["install", "--quiet", "-c", str(folder / "torch.txt"), str(distribution(request.param)), "pytest"]
    subprocess.run([str(folder / "env/bin/python"), "-m", "pip", *words], check=True)
    return folder / "env/bin"


def said(bin_: Path, folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """One program of the environment, in a folder outside the checkout, with no way back to it."""
    environment = {n: v for n, v in os.environ.items() if n not in ("PYTHONPATH", "VIRTUAL_ENV")}
    command = [str(bin_ / words[0]), *words[1:]]
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)


def test_what_readme_shows_works_in_another_folder(installed: Path, tmp_path: Path) -> None:
    for name in ("rice.py", "rice.csv"):
        shutil.copy(EXAMPLE / name, tmp_path)
    where = said(installed, tmp_path, "python", "-c", "import unstuck; print(unstuck.__file__)").stdout
    assert str(installed.parent) in where
    explained = said(installed, tmp_path, "unstuck", "explain", "feature-scale-mix")
    assert explained.returncode == 0 and "Why it hurts" in explained.stdout
    before = (tmp_path / "rice.py").read_text()
    found = said(installed, tmp_path, "unstuck", "run", "--write", "--html", "page.html", "rice.py")
    assert found.returncode == 1 and "Cause: feature-scale-mix" in found.stderr, found.stderr[-2000:]
    assert (tmp_path / "rice.py.orig").read_text() == before != (tmp_path / "rice.py").read_text()
    assert "feature-scale-mix" in (tmp_path / "page.html").read_text(encoding="utf-8")
    missing = said(installed, tmp_path, "unstuck", "mcp")
    assert missing.returncode == 2 and "unstuck[mcp]" in missing.stderr, missing.stderr


def test_pytest_finds_the_plugin(installed: Path, tmp_path: Path) -> None:
    assert "--unstuck-pages" in said(installed, tmp_path, "python", "-m", "pytest", "--help").stdout
    assert "assert_learns" in said(installed, tmp_path, "python", "-m", "pytest", "--fixtures").stdout
