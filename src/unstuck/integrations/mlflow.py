"""The diagnosis in MLflow: `UnstuckCallback(report=to_mlflow())`."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from unstuck.integrations.tags import tags
from unstuck.integrations.training import Told
from unstuck.integrations.watching import Report


def to_mlflow(run_id: str | None = None) -> Told:
    """A receiver of reports that adds them to an MLflow run: by default the active one, at that moment.

    Artifacts `unstuck/diagnosis.html`, `.json`, `.txt` and, where there is one, `unstuck/fix.patch`; tags
    `unstuck.state`, `unstuck.causes` and `unstuck.suspects`. Without an active run, MLflow begins one.
    """

    def write(report: Report) -> None:
        mlflow: Any = import_module("mlflow")  # a type checker takes `import mlflow` for this file
        run = run_id or (mlflow.active_run() or mlflow.start_run()).info.run_id
        client = mlflow.MlflowClient()
        client.log_text(run, report.page, "unstuck/diagnosis.html")
        client.log_text(run, report.text, "unstuck/diagnosis.txt")
        client.log_dict(run, report.diagnosis, "unstuck/diagnosis.json")
        if report.diagnosis["patch"] is not None:
            client.log_text(run, report.diagnosis["patch"]["diff"], "unstuck/fix.patch")
        for name, value in tags(report).items():
            client.set_tag(run, f"unstuck.{name}", value)

    return write
