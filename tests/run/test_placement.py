"""Where a run happens."""

from dataclasses import dataclass

import pytest

from ingest_ray.engine.run_order import RunOrder
from ingest_ray.engine.steps.planner import PlanSummary
from ingest_ray.run.placement import inline_readers, is_inline
from ingest_ray.sdk.types import Axis, Dataset, Effect, Endpoint, Scope, UnitConfig, UnitSpec
from ingest_ray.settings import RaySettings, Settings

KEYED = Scope(scope_id="load", segment="all", axis=Axis(kind="key", columns=("id",)), effect=Effect.LOAD)
WHOLE = Scope(scope_id="load", segment="all", axis=Axis(kind="whole"), effect=Effect.LOAD)


@dataclass
class Cluster:
    is_attached: bool = False


@pytest.mark.parametrize(
    ("scopes", "size", "is_here"),
    [
        ((KEYED,), 1000, True),
        ((KEYED,), 10_000, False),
        ((KEYED,), None, False),
        ((WHOLE,), None, True),
        ((WHOLE,), 10_000, True),
        ((WHOLE, WHOLE), None, False),
        ((), None, True),
    ],
)
def test_small_plans_and_single_slices_need_no_cluster(
    scopes: tuple[Scope, ...], size: int | None, is_here: bool
) -> None:
    order = order_of("jdbc.sqlite", inline_below=5000)
    plan_summary = PlanSummary(strategy="s", bytes=size, scopes=scopes)
    assert is_inline(order, plan_summary, Cluster()) is is_here
    assert not is_inline(order, plan_summary, Cluster(is_attached=True))


def order_of(template: str, **ray: int) -> RunOrder:
    dataset = Dataset(endpoint_id="e", name="t", columns=())
    spec = UnitSpec(
        endpoint=Endpoint(endpoint_id="e", template=template),
        dataset=dataset,
        config=UnitConfig(endpoint_id="e", unit_id="t", sink_id="s"),
    )
    settings = Settings(home="/nowhere", state_url="sqlite://", ray=RaySettings.model_validate(ray))
    return RunOrder(run_id="r", settings=settings, spec=spec, sink=Endpoint(endpoint_id="s", template="lake.delta"))


def test_threads_are_as_many_as_pay() -> None:
    small, large = (PlanSummary(strategy="s", bytes=size, scopes=(KEYED,)) for size in (1000, 100 * 2**20))
    assert inline_readers(order_of("jdbc.sqlite", num_cpus=2), small) == 1
    assert inline_readers(order_of("jdbc.sqlite", num_cpus=2), large) == 2
    assert inline_readers(order_of("jdbc.sqlite", num_cpus=64), large) == 4
    assert inline_readers(order_of("jira.http", num_cpus=2), large) == 6
    assert inline_readers(order_of("jdbc.sqlite", inline_threads=3), small) == 3
