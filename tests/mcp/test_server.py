"""The server over stdio, driven by the SDK's own client."""

from __future__ import annotations

from pathlib import Path

import anyio
import psutil
import pytest
from mcp import Client

from tests.mcp.served import called, during
from tests.recorded import tape_of
from tests.scripts import CLASSES

SLEEPS = "import time\nprint('begun', flush=True)\ntime.sleep(600)\n"


def workers() -> list[psutil.Process]:
    """Processes below this one that work for a tool, and what they started."""
    ours = [p for p in psutil.Process().children(recursive=True) if p.status() != psutil.STATUS_ZOMBIE]
    return [p for p in ours if "unstuck.mcp.worker" in p.cmdline() or "unstuck.recording" in p.cmdline()]


def test_the_tools_have_descriptions_and_schemas(tmp_path: Path) -> None:
    async def talk(opened: Client) -> None:
        tools = {tool.name: tool for tool in (await opened.list_tools()).tools}
        assert set(tools) == {"diagnose", "look", "experiment", "try_patch", "explain"}
        assert all(tool.description for tool in tools.values())
        assert tools["diagnose"].input_schema["required"] == ["script"]

    during(tmp_path, talk)


def test_a_page_is_explained_and_an_unknown_name_abstains(tmp_path: Path) -> None:
    async def talk(opened: Client) -> None:
        page = await called(opened, "explain", fault="input_offset")
        assert page["abstained"] is None and "## What to do" in page["page"]
        unknown = await called(opened, "explain", fault="input-ofset")
        assert "input-ofset" in unknown["abstained"] and "input-offset" in unknown["near"]
        assert len((await called(opened, "explain"))["faults"]) > 40

    during(tmp_path, talk)


def test_without_a_tape_it_says_what_to_call(tmp_path: Path) -> None:
    async def talk(opened: Client) -> None:
        assert "call diagnose" in (await called(opened, "look"))["abstained"]
        assert "call diagnose" in (await called(opened, "experiment", name="set-rate"))["abstained"]

    during(tmp_path, talk)


def test_a_look_at_a_tape_folder_gives_numbers(tmp_path: Path) -> None:
    tape_of(CLASSES, tmp_path, steps=20)

    async def talk(opened: Client) -> None:
        told = await called(opened, "look", tape=str(tmp_path / "tape"), at="fc1", rows=2)
        assert told["abstained"] is None and told["schema_version"] == 1
        given = told["first_step"][0]["given"]
        assert given[0]["tensor"] == "0 <- input 0" and given[0]["shape"] == [200, 2] and len(given[0]["sample"]) == 2
        nowhere = await called(opened, "look", tape=str(tmp_path / "tape"), at="999")
        assert "train.py:" in nowhere["abstained"]

    during(tmp_path, talk)


@pytest.mark.net
def test_the_time_of_a_call_is_bounded(tmp_path: Path) -> None:
    (tmp_path / "train.py").write_text(SLEEPS)

    async def talk(opened: Client) -> None:
        told = await called(opened, "diagnose", script="train.py", timeout=3)
        assert told["abstained"].startswith("not finished within 3 s")
        assert workers() == []

    during(tmp_path, talk)


@pytest.mark.net
def test_cancelling_a_call_ends_its_processes_and_the_server_goes_on(tmp_path: Path) -> None:
    (tmp_path / "train.py").write_text(SLEEPS)
    words: list[str] = []

    async def heard(progress: float, total: float | None, message: str | None) -> None:
        words.append(message or "")

    async def talk(opened: Client) -> None:
        async with anyio.create_task_group() as group:
            group.start_soon(lambda: opened.call_tool("diagnose", {"script": "train.py"}, progress_callback=heard))
            with anyio.fail_after(60):
                while "recording the script" not in words:
                    await anyio.sleep(0.05)
            assert workers()
            group.cancel_scope.cancel()
        with anyio.fail_after(60):
            while workers():
                await anyio.sleep(0.05)
        assert (await called(opened, "explain", fault="no-step"))["abstained"] is None

    during(tmp_path, talk)


def test_a_script_that_is_missing_abstains(tmp_path: Path) -> None:
    async def talk(opened: Client) -> None:
        assert "no such file" in (await called(opened, "diagnose", script="nowhere.py"))["abstained"]

    during(tmp_path, talk)
