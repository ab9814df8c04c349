"""The process that works for one call of a tool: `python -m unstuck.mcp.worker`.

It reads an order, one line of JSON, from stdin and writes lines of JSON to stdout: `{"progress": ...}` and at last
`{"answer": ...}`. The end of stdin, or SIGTERM, ends it and all that it started: scripts run in processes that end with
it (`unstuck.containment`).
"""

from __future__ import annotations

import importlib
import json
import os
import signal
import sys
import tempfile
import threading
import time
from typing import Any

GRACE = 8.0
"""Seconds to end in order: scratch folders are removed, contained processes ended."""


def main() -> int:
    """Carry out one order."""
    out = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # whatever prints must not be taken for an answer
    order = json.loads(sys.stdin.readline())
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    threading.Thread(target=_leash, daemon=True).start()
    tempfile.tempdir = order["scratch"]  # ours only: a script keeps its own
    os.chdir(order["cwd"])

    def tell(what: dict[str, Any]) -> None:
        out.write(json.dumps(what) + "\n")
        out.flush()

    tell({"answer": _answer(order, lambda words: tell({"progress": words}))})
    return 0


def _answer(order: dict[str, Any], say: Any) -> dict[str, Any]:
    say("importing torch")
    jobs = importlib.import_module("unstuck.mcp.jobs")
    answers = importlib.import_module("unstuck.mcp.answers")
    try:
        jobs.threads()
        return jobs.TOOLS[order["tool"]](order["order"], jobs.Terms(order["timeout"], order["uncontained"]), say)
    except jobs.Abstained as reason:
        return answers.answer(order["tool"], {}, str(reason))
    except Exception as error:
        first = (str(error).splitlines() or [""])[0]
        return answers.answer(order["tool"], {}, f"it failed: {type(error).__name__}: {first[:300]}")


def _leash() -> None:
    """Wait for the end of stdin: whoever gave the order does not want it any more, or is gone."""
    while os.read(0, 4096):
        pass
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(GRACE)
    os._exit(1)


if __name__ == "__main__":
    sys.exit(main())
