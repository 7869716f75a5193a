"""Workflows that began under earlier versions go on under this one: their recorded histories are replayed.

Runs live for days, so a worker of a new version meets histories of an old one. A change of a workflow's commands needs
`workflow.patched`: https://docs.temporal.io/develop/python/versioning.
"""

import asyncio
import json
from pathlib import Path

import pytest
from temporalio.client import WorkflowHistory
from temporalio.worker import Replayer

import ingest_ray
from ingest_ray.payloads.contract import WORKFLOWS
from ingest_ray.payloads.converter import data_converter
from ingest_ray.temporal.workflows import ALL
from tests.temporal.record_histories import FOLDER

HISTORIES = sorted(FOLDER.glob("*/*.json"))


@pytest.mark.parametrize("file", HISTORIES, ids=lambda file: f"{file.parent.name}/{file.stem}")
def test_a_recorded_history_is_replayed_by_the_workflows_of_today(file: Path) -> None:
    history = WorkflowHistory.from_json("replayed", json.loads(file.read_text()))
    replayer = Replayer(workflows=ALL, data_converter=data_converter)
    asyncio.run(replayer.replay_workflow(history))


def test_a_release_has_histories_of_all_its_workflows() -> None:
    """`python -m tests.temporal.record_histories` makes them, before the version is raised further."""
    mine = [file for file in HISTORIES if file.parent.name == ingest_ray.__version__]
    text = "\n".join(file.read_text() for file in mine)
    assert [name for name in WORKFLOWS if f'"name": "{name}"' not in text] == []
    assert {"run-cancelled", "run-failed", "endpoint-continued"} <= {file.stem for file in mine}
