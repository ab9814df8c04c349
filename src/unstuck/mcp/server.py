"""The server: five tools over stdio. Whatever takes time runs in a process of its own (`unstuck.mcp.process`)."""

from __future__ import annotations

import difflib
import os
import shutil
import tempfile
from pathlib import Path
from typing import Annotated, Any, Literal

import anyio
from mcp.server.mcpserver import Context, MCPServer
from mcp_types import ToolAnnotations
from pydantic import Field

from unstuck import __version__
from unstuck.mcp import answers
from unstuck.mcp.process import Failed, TimedOut, carried_out
from unstuck.rules.catalogue import pages

Effort = Literal["quick", "normal", "thorough"]
Answer = dict[str, Any]
Script = Annotated[str, Field(description="path of a training script or notebook (or a module's name, with `module`)")]
Arguments = Annotated[list[str] | None, Field(description="the script's own command-line arguments")]
Folder = Annotated[str, Field(description="folder to run it in; by default the server's")]
TapeName = Annotated[str, Field(description="`tape` of an answer of diagnose, or a tape folder; by default the last")]
Timeout = Annotated[float, Field(gt=0, le=3600, description="seconds after which the work is stopped")]
KEPT = 6
"""Tapes that are kept at a time; they may be large."""
INSTRUCTIONS = """\
unstuck runs PyTorch training and measures why it does not learn. Call `diagnose` on the script first. Then `look` shows
the numbers that enter any recorded call: the data that cannot be seen by reading code. `experiment` replays one cause
or remedy, `try_patch` compares a change of yours with the original in paired runs, and `explain` gives a fault's page.
`abstained` says why nothing can be said; it does not mean that nothing is wrong."""
READS = ToolAnnotations(read_only_hint=True, open_world_hint=False)
RUNS = ToolAnnotations(destructive_hint=False, open_world_hint=False)
"""It runs the person's code, contained."""


class Tapes:
    """The tapes that this server recorded, in a folder that is removed when it ends."""

    def __init__(self) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="unstuck-mcp-", ignore_cleanup_errors=True)
        self._names: list[str] = []
        self._made = 0

    def new(self) -> tuple[str, Path]:
        """A name and a folder that does not exist yet."""
        self._made += 1
        name = f"tape-{self._made}"
        return name, Path(self._folder.name) / name

    def keep(self, name: str) -> None:
        """The newest tape; the oldest goes where there are too many."""
        self._names.append(name)
        for old in self._names[:-KEPT]:
            shutil.rmtree(Path(self._folder.name) / old, ignore_errors=True)
        self._names = self._names[-KEPT:]

    def folder(self, name: str) -> Path | None:
        """Of a tape by its name, or of the last; a path is taken as it is. None where there is none."""
        if not name:
            return Path(self._folder.name) / self._names[-1] if self._names else None
        known = Path(self._folder.name) / name
        return known if name in self._names else Path(name) if (Path(name) / "tape.json").exists() else None

    @property
    def names(self) -> tuple[str, ...]:
        """Of the tapes that are kept."""
        return tuple(self._names)

    def close(self) -> None:
        """Remove them all."""
        self._folder.cleanup()


class Tools:
    """The tools, with what they share: tapes, and one worker at a time."""

    def __init__(self, uncontained: bool) -> None:
        self._uncontained, self.tapes, self._turn = uncontained, Tapes(), anyio.Lock()

    async def diagnose(
        self, script: Script, ctx: Context, arguments: Arguments = None, module: bool = False, cwd: Folder = "",
        effort: Effort = "normal", steps: int | None = None, seconds: float | None = None, timeout: Timeout = 900,
    ) -> Answer:  # fmt: skip
        """Run a PyTorch training script (contained: it writes nothing and has no network), record its steps, and find
        why it does not learn: causes proven by experiment, suspects, a patch. Takes a minute or more. `script` may be
        a tape folder that `unstuck record` wrote. `steps` and `seconds` bound the recording."""
        name, folder = self.tapes.new()
        order = {"script": script, "arguments": arguments or [], "module": module, "effort": effort, "steps": steps,
                 "seconds": seconds, "keep": str(folder), "tape": name}  # fmt: skip
        told = await self._worked("diagnose", order, cwd, timeout, ctx)
        if (folder / "tape.json").exists():
            self.tapes.keep(name)
        return told

    async def look(
        self, ctx: Context, at: Annotated[str, Field(description="a line (`train.py:12`, `12`), the name of a call "
        "(`linear`, `cross_entropy`), of a weight or a module (`fc1`), or `rows` for rows with targets and answers; "
        "empty for the list of calls")] = "", tape: TapeName = "",
        rows: Annotated[int, Field(ge=1, le=16, description="rows to sample")] = 3, timeout: Timeout = 120,
    ) -> Answer:  # fmt: skip
        """Look at a recorded step: statistics and sampled numbers of what enters a call, and of its result, at the
        first step and at the last; over all batches for data and targets. It runs nothing of the script."""
        return await self._on_tape("look", tape, {"at": at, "rows": rows}, timeout, ctx)

    async def experiment(
        self, name: Annotated[str, Field(description="a fault (`input-scale`) or a remedy (`set-rate`)")],
        ctx: Context, value: Annotated[float | None, Field(gt=0, description="the rate, for `set-rate`")] = None,
        tape: TapeName = "", means: Literal["replay", "rerun"] = "replay", effort: Effort = "normal",
        timeout: Timeout = 600,
    ) -> Answer:  # fmt: skip
        """Test one named cause or remedy on a recorded run: training is replayed with and without it in several lanes
        (`rerun`: the patched script is run, contained). The verdict is heals, helps, no-difference, harms or
        undecided, with skills, p-value and interval."""
        order = {"name": name, "value": value, "means": means, "effort": effort}
        return await self._on_tape("experiment", tape, order, timeout, ctx)

    async def try_patch(
        self, script: Script, ctx: Context,
        patch: Annotated[str | None, Field(description="a unified diff, relative to the script's folder")] = None,
        other: Annotated[str | None, Field(description="another script in its place")] = None,
        values: Annotated[dict[str, float | str] | None, Field(description="name to value: `{\"lr\": 0.01}`")] = None,
        arguments: Arguments = None, module: bool = False, cwd: Folder = "",
        seeds: Annotated[int, Field(ge=2, le=32, description="pairs of runs at most")] = 8,
        worth: Annotated[float, Field(gt=0, description="the difference worth having")] = 0.05,
        higher_is_better: bool | None = None, timeout: Timeout = 1800,
    ) -> Answer:  # fmt: skip
        """Is a change better? The script runs with and without it, in pairs from the same seeds, contained, until a
        sequential test decides. Give one of `patch`, `other` and `values`."""
        better = 0 if higher_is_better is None else 1 if higher_is_better else -1
        order = {"script": script, "arguments": arguments or [], "module": module, "patch": patch, "other": other,
                 "values": values or {}, "seeds": seeds, "worth": worth, "better": better}  # fmt: skip
        return await self._worked("try_patch", order, cwd, timeout, ctx)

    async def explain(self, fault: Annotated[str, Field(description="empty for the list")] = "") -> Answer:
        """A fault's page: why it hurts, how it is seen, what to do; without a name, the list of faults."""
        found, name = pages(), fault.replace("_", "-").lower()
        if not name:
            return answers.index(found)
        if name in found:
            return answers.page(name, found[name])
        near = difflib.get_close_matches(name, found, n=3)
        return answers.answer("explain", {"near": near}, f"no fault is called {fault}")

    async def _on_tape(self, tool: str, tape: str, order: dict[str, Any], timeout: float, ctx: Context) -> Answer:
        folder = self.tapes.folder(tape)
        if folder is None:
            known = ", ".join(self.tapes.names) or "none yet: call diagnose"
            why = f"no tape is called {tape}" if tape else "no tape was recorded"
            return answers.answer(tool, {}, f"{why}; tapes: {known}")
        where = {"tape": str(folder.resolve()), "tape_name": tape or folder.name}
        return await self._worked(tool, {**order, **where}, "", timeout, ctx)

    async def _worked(self, tool: str, order: dict[str, Any], cwd: str, timeout: float, ctx: Context) -> Answer:
        async def tell(seconds: float, words: str) -> None:
            await ctx.report_progress(round(seconds, 2), None, words)

        here = os.path.abspath(cwd or ".")  # noqa: PTH100
        if not Path(here).is_dir():
            return answers.answer(tool, {}, f"there is no folder {cwd}")
        async with self._turn:
            try:
                whole = {"tool": tool, "order": order, "cwd": here, "uncontained": self._uncontained}
                return await carried_out(whole, timeout, tell)
            except (TimedOut, Failed) as reason:
                return answers.answer(tool, {}, str(reason))


def serve(uncontained: bool = False) -> None:
    """Serve over stdin and stdout until they are closed."""
    tools = Tools(uncontained)
    server = MCPServer("unstuck", version=__version__, instructions=INSTRUCTIONS, log_level="WARNING")
    for tool in (tools.diagnose, tools.experiment, tools.try_patch):
        server.add_tool(tool, annotations=RUNS)
    for tool in (tools.look, tools.explain):
        server.add_tool(tool, annotations=READS)
    try:
        server.run("stdio")
    finally:
        tools.tapes.close()
