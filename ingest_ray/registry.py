"""Finds strategies and sinks by template id, through entry points: the engine knows none by name."""

from functools import cache
from importlib.metadata import entry_points

from ingest_ray.sdk.contracts import ModelSink, Sink, SinkFamily, Strategy
from ingest_ray.sdk.errors import SinkMissing, StrategyMissing
from ingest_ray.sdk.types import Endpoint

STRATEGIES = "ingest_ray.strategies"
SINKS = "ingest_ray.sinks"


def strategy_templates() -> list[str]:
    return list(_names(STRATEGIES))


def sink_templates() -> list[str]:
    return list(_names(SINKS))


@cache
def _names(group: str) -> tuple[str, ...]:
    """Read once: it looks at the metadata of every installed package, which takes 10 ms."""
    return tuple(sorted({point.name for point in entry_points(group=group)}))


@cache
def strategy_for(template: str) -> Strategy:
    for point in entry_points(group=STRATEGIES, name=template):
        strategy: Strategy = point.load()
        return strategy
    raise StrategyMissing(
        f"template '{template}' has no strategy installed",
        hint=f"installed: {', '.join(strategy_templates()) or 'none'}",
    )


@cache
def sink_family(template: str) -> SinkFamily:
    for point in entry_points(group=SINKS, name=template):
        family: SinkFamily = point.load()
        return family
    raise SinkMissing(
        f"template '{template}' is no sink that is installed",
        hint=f"installed: {', '.join(sink_templates()) or 'none'}",
    )


def open_sink(endpoint: Endpoint) -> Sink:
    """The sink of an endpoint whose secrets are already resolved."""
    return sink_family(endpoint.template).open(endpoint)


def open_models(endpoint: Endpoint) -> ModelSink:
    """The CDM sink of an endpoint whose secrets are already resolved."""
    return sink_family(endpoint.template).open_models(endpoint)


def load(endpoint: Endpoint) -> None:
    """Imports what the endpoint's strategy is made of. Units of no dataset make no request."""
    strategy_for(endpoint.template).list_units(endpoint, ())
