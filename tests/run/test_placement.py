"""Where a run happens; a plan of unknown size begins in the calling process, and goes on on Ray once it is too large for that."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from ingest_ray.engine.run_order import RunOrder
from ingest_ray.engine.steps.planner import PlanSummary
from ingest_ray.run import run as run_module
from ingest_ray.run.context import AttemptResult, RunContext
from ingest_ray.run.placed_plan import PlacedPlan
from ingest_ray.run.placement import fits_one_slice, inline_readers, is_inline, skips_local_probe
from ingest_ray.sdk.types import Axis, Dataset, Effect, Endpoint, RunMode, RunState, Scope, UnitConfig, UnitSpec
from ingest_ray.settings import RaySettings, Settings
from tests.run.installation import Installation

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


@pytest.mark.parametrize(
    ("scopes", "size", "fits"),
    [
        ((KEYED,), 1000, True),
        ((KEYED,), None, False),
        ((KEYED,), 2**30, False),
        ((KEYED, KEYED), 1000, False),
        ((WHOLE,), 0, True),
    ],
)
def test_no_worker_is_warmed_up_for_one_slice(scopes: tuple[Scope, ...], size: int | None, fits: bool) -> None:
    assert fits_one_slice(order_of("jdbc.sqlite"), PlanSummary(strategy="s", bytes=size, scopes=scopes)) is fits


UNSIZED = {"is_sized": False, "slice_rows": 100}
LIMIT_BYTES = 20_000  # three slices of 100 rows


def on_ray(context: RunContext) -> AttemptResult:
    """In place of the actors: the same order without a limit, in this process."""
    ray = context.order.settings.ray.model_copy(update={"inline_below": 2**40})
    settings = context.order.settings.model_copy(update={"ray": ray})
    moved = replace(context, order=context.order.model_copy(update={"settings": settings}))
    return run_module.Run(moved)._plan_and_run()


@pytest.fixture
def moves(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    made: list[str] = []

    def plan_for_cluster(*given: Any, goes_to_ray: bool) -> PlacedPlan:
        return PlacedPlan() if goes_to_ray else plan_unit(*given, goes_to_ray=False)

    def on_cluster(context: RunContext, cluster: Any) -> AttemptResult:
        made.append(context.order.run_id)
        with monkeypatch.context() as patched:
            patched.setattr(run_module, "plan_unit", plan_unit)
            return on_ray(context)

    plan_unit = run_module.plan_unit
    monkeypatch.setattr(run_module, "plan_unit", plan_for_cluster)
    monkeypatch.setattr(run_module, "on_cluster", on_cluster)
    return made


def unsized(folder: Path, unit: str, limit: int, **more: Any) -> Installation:
    return Installation(folder, unit=unit, inline_below=limit, source=UNSIZED, **more)


def test_a_small_plan_of_unknown_size_never_leaves_the_process(tmp_path: Path, moves: list[str]) -> None:
    there = unsized(tmp_path, "numbers-2x300", 2**20)
    summary = there.run()
    assert (summary.state, summary.executor, moves) == (RunState.SUCCEEDED, "inline", [])
    assert there.ids() == there.expected_ids()


@pytest.mark.slow
@pytest.mark.parametrize("threads", [1, 3])
def test_what_was_committed_before_the_move_is_not_read_again(tmp_path: Path, moves: list[str], threads: int) -> None:
    there = unsized(tmp_path, "numbers-2x1500", LIMIT_BYTES, threads=threads)
    summary = there.run()
    assert summary.state is RunState.SUCCEEDED, summary.error
    assert len(moves) == 1
    assert there.ids() == there.expected_ids()
    assert summary.rows.committed == 3000
    assert len(there.reads()) <= 30 + 2 * threads + 3  # what was read and not yet committed


@pytest.mark.slow
@pytest.mark.parametrize(
    "options",
    [
        {"mode": RunMode.FULL, "policy": {}},
        {"mode": RunMode.FULL, "policy": {"write": "append"}},
        {"mode": RunMode.FULL, "policy": {"write": "upsert"}},
    ],
    ids=["replace", "append", "upsert"],
)
def test_every_way_to_write_has_its_rows_once_after_a_move(
    tmp_path: Path, moves: list[str], options: dict[str, Any]
) -> None:
    there = unsized(tmp_path, "numbers-1x1500", LIMIT_BYTES, **options)
    assert there.run().state is RunState.SUCCEEDED
    assert len(moves) == 1
    assert there.ids() == there.expected_ids()


def test_a_process_that_dies_while_it_moves_has_lost_nothing(
    tmp_path: Path, moves: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    class Died(BaseException):
        pass

    def die(*_: Any) -> AttemptResult:
        raise Died

    there = unsized(tmp_path, "numbers-1x1500", LIMIT_BYTES)
    with monkeypatch.context() as patched:
        patched.setattr(run_module, "on_cluster", die)
        with pytest.raises(Died):
            there.run()
    before = len(there.reads())
    assert there.run().state is RunState.SUCCEEDED
    assert there.ids() == there.expected_ids()
    assert len(there.reads()) - before < 15


def test_a_single_slice_that_fails_before_the_move_is_read_again_after_it(tmp_path: Path, moves: list[str]) -> None:
    there = unsized(tmp_path, "numbers-1x1500", LIMIT_BYTES)
    there.source = {**UNSIZED, "faults": {"0:0": ["denied"]}}
    summary = there.run()
    assert summary.state is RunState.SUCCEEDED, summary.error
    assert len(moves) == 1
    assert there.ids() == there.expected_ids()


def test_a_stop_that_a_person_asks_for_is_no_move(tmp_path: Path, moves: list[str]) -> None:
    there = unsized(tmp_path, "numbers-1x1500", LIMIT_BYTES)
    summary = there.run_until(lambda progress: progress.bytes_staged >= LIMIT_BYTES)
    assert summary.state is RunState.PAUSED
    assert moves == []


def test_a_plan_of_known_size_stays_where_it_began(tmp_path: Path, moves: list[str]) -> None:
    there = Installation(tmp_path, unit="numbers-1x1500", inline_below=80_000, source={"slice_rows": 100})
    assert there.run().state is RunState.SUCCEEDED
    assert moves == []
    assert there.ids() == there.expected_ids()
