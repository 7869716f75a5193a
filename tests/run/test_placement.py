"""Where a run happens."""

import pytest

from ingest_ray.engine.run_order import RunOrder
from ingest_ray.engine.steps.planner import PlanSummary
from ingest_ray.run.placement import inline_readers, is_inline, skips_local_probe
from ingest_ray.sdk.types import Axis, Dataset, Effect, Endpoint, Scope, UnitConfig, UnitSpec
from ingest_ray.settings import RaySettings, Settings

KEYED = Scope(scope_id="load", segment="all", axis=Axis(kind="key", columns=("id",)), effect=Effect.LOAD)
WHOLE = Scope(scope_id="load", segment="all", axis=Axis(kind="whole"), effect=Effect.LOAD)


@pytest.mark.parametrize(
    ("scopes", "size", "is_here"),
    [
        ((KEYED,), 1000, True),
        ((KEYED,), 10_000, False),
        ((KEYED,), None, True),
        ((WHOLE,), None, True),
        ((WHOLE,), 10_000, True),
        ((WHOLE, WHOLE), None, True),
        ((), None, True),
    ],
)
def test_small_plans_and_single_slices_need_no_cluster(
    scopes: tuple[Scope, ...], size: int | None, is_here: bool
) -> None:
    order = order_of("jdbc.sqlite", inline_below=5000)
    plan_summary = PlanSummary(strategy="s", bytes=size, scopes=scopes)
    assert is_inline(order, plan_summary) is is_here


@pytest.mark.parametrize(
    ("size", "limit", "is_here"), [(1000, 5000, True), (10_000, 5000, False), (None, 0, False), (0, 0, False)]
)
def test_a_cluster_changes_nothing_about_small_plans(size: int | None, limit: int, is_here: bool) -> None:
    for scope in (KEYED, WHOLE):
        order = order_of("jdbc.sqlite", inline_below=limit, address="10.0.0.1:6379")
        assert is_inline(order, PlanSummary(strategy="s", bytes=size, scopes=(scope,))) is is_here


@pytest.mark.parametrize(
    ("address", "limit", "estimate", "is_skipped"),
    [
        ("local", 5000, 1000, False),
        ("local", 5000, 10_000, True),
        ("job", 5000, None, False),
        ("job", 5000, 1000, False),
        ("job", 5000, 10_000, True),
        ("job", 0, None, True),
        ("local", 0, None, False),
    ],
)
def test_a_first_load_is_probed_here_unless_it_is_large_by_the_catalog(
    address: str, limit: int, estimate: int | None, is_skipped: bool
) -> None:
    order = order_of("jdbc.sqlite", inline_below=limit, address=address)
    dataset = order.spec.dataset.model_copy(update={"estimated_bytes": estimate})
    order = order.model_copy(update={"spec": order.spec.model_copy(update={"dataset": dataset})})
    assert skips_local_probe(order, is_first=True) is is_skipped
    assert not skips_local_probe(order, is_first=False)


def order_of(template: str, **ray: int | str) -> RunOrder:
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
