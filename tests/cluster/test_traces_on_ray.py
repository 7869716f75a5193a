"""The steps of a run on Ray are in its trace, whichever process they are in."""

from pathlib import Path

import pytest

from ingest_ray import telemetry
from ingest_ray.sdk import tracing
from ingest_ray.service.endpoints.collect import collect
from ingest_ray.service.runs.execution import run
from tests.run.installation import ANYWHERE
from tests.service.workspace import Workspace
from tests.telemetry.collector import collecting
from tests.telemetry.test_traces import STAGED_STEPS

pytestmark = [pytest.mark.cluster, pytest.mark.usefixtures("cluster")]


@pytest.mark.parametrize("labels", [{}, ANYWHERE], ids=["one machine", "a cluster"])
def test_each_step_on_ray_is_in_the_trace_of_its_run(tmp_path: Path, labels: dict[str, str]) -> None:
    with collecting() as collector:
        workspace = Workspace(tmp_path)
        workspace.source["slice_rows"] = 400
        workspace.document |= {
            "telemetry": {"endpoint": collector.url},
            "ray": {"inline_below": 0, "actor_labels": labels},
            "staging": {"provider": "files"},  # of adopted files nothing is prepared
        }
        workspace.apply()
        collect(workspace.installation, "shop")
        telemetry.configure(workspace.installation.settings)
        with tracing.span("the command"):
            (summary,) = run(workspace.installation, "shop", ["numbers-1x1000"]).units
        telemetry.shutdown()
        assert (summary.executor, summary.rows.committed) == ("ray", 1000), summary.error
        assert STAGED_STEPS | {"open sink"} <= collector.names()
        assert len({span.trace_id for span in collector.spans}) == 1
        for name in STAGED_STEPS - {"run", "attempt"}:
            for span in collector.named(name):
                assert collector.path_of(span)[:3] == ["the command", "run", "attempt"], name
        assert sum(span.facts["ingest.rows.read"] for span in collector.named("read slice")) == 1000
        (of_run,) = collector.named("run")
        in_other_processes = {span.name for span in collector.spans if span.process != of_run.process}
        elsewhere = STAGED_STEPS - {"run", "attempt"} if labels else {"read slice"}
        assert elsewhere == in_other_processes - {"open sink"}
