"""Plans a unit and chooses where the plan is executed: in this process, with readers on a Ray of this machine, or on a cluster.

Ray is imported only here and only when it is needed, because importing and starting it costs seconds. A Ray of its own starts while
the unit is planned.
"""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from contextvars import copy_context
from dataclasses import dataclass
from importlib import import_module
from typing import Any

from ingest_ray.engine.steps.planner import Planner, PlanSummary
from ingest_ray.run.context import AttemptResult, RunContext
from ingest_ray.run.placement import is_inline
from ingest_ray.state.writer import StateWriter


@dataclass(frozen=True)
class PlacedPlan:
    """`planner` and `plan_summary` are None where the control actor of a cluster plans. Neither inline nor with a cluster: for Ray, which
    another thread uses."""

    planner: Planner | None = None
    plan_summary: PlanSummary | None = None
    is_inline: bool = False
    cluster: Any = None


def plan_unit(context: RunContext, state: StateWriter, stack: ExitStack, *, goes_to_ray: bool) -> PlacedPlan:
    """`stack` closes the planner. `goes_to_ray`: whatever the plan says.

    Raises:
        SourceError: the source could not be probed.
        ClusterUnavailable, ConfigError: Ray does not start, or the cluster cannot be joined.
    """
    settings = context.order.settings.ray
    planner = Planner(context.order)
    stack.callback(planner.close)

    def plan() -> PlanSummary:
        plan_summary = context.retry(lambda: planner.begin(state.segments, state.learned))
        context.reporter.note_plan(plan_summary)
        return plan_summary

    if not goes_to_ray:
        plan_summary = plan()
        if not plan_summary.scopes or is_inline(context.order, plan_summary):
            return PlacedPlan(planner, plan_summary, is_inline=True)
        if not context.cluster.is_owner:
            return PlacedPlan(planner, plan_summary)
        cluster = context.cluster.connect(settings)
        return (
            PlacedPlan(planner, plan_summary, cluster=cluster)
            if cluster.holds_control(settings)
            else PlacedPlan(cluster=cluster)
        )
    if settings.address == "local" and not settings.actor_labels:
        cluster, plan_summary = _meanwhile(plan, lambda: context.cluster.connect(settings))
        return PlacedPlan(planner, plan_summary, cluster=cluster)
    cluster = context.cluster.connect(settings)
    if not cluster.holds_control(settings):
        return PlacedPlan(cluster=cluster)
    return PlacedPlan(planner, plan(), cluster=cluster)


def _meanwhile(plan: Callable[[], PlanSummary], connect: Callable[[], Any]) -> tuple[Any, PlanSummary]:
    """Plans in another thread: only this one may connect, because Ray installs handlers of signals."""
    with ThreadPoolExecutor(1, thread_name_prefix="planner") as pool:
        planned = pool.submit(copy_context().run, plan)
        cluster = connect()
        return cluster, planned.result()


def in_driver(
    context: RunContext, cluster: Any, state: StateWriter, planner: Planner, plan_summary: PlanSummary
) -> AttemptResult:
    result: AttemptResult = _attempts().run_attempt_in_driver(context, cluster, state, planner, plan_summary)
    return result


def on_cluster(context: RunContext, cluster: Any) -> AttemptResult:
    result: AttemptResult = _attempts().run_attempt_on_cluster(context, cluster)
    return result


def _attempts() -> Any:
    return import_module("ingest_ray.run.ray_attempt")
