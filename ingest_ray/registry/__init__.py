"""Finds strategies and sinks by template id, through entry points: the engine knows none by name.

A plug-in is checked when it is loaded, see `shape.py`.
"""

from functools import cache

from ingest_ray.registry.installed import forget_installed, installed_names, installed_points
from ingest_ray.registry.shape import (
    check_family,
    check_methods,
    check_sink,
    check_strategy,
    load_plugin,
    methods_of,
    title,
)
from ingest_ray.sdk.contracts import DatabaseLogin, ModelSink, SecretStore, Sink, SinkFamily, Strategy
from ingest_ray.sdk.errors import ConfigError, SinkMissing, StrategyMissing
from ingest_ray.sdk.types import Endpoint

STRATEGIES = "ingest_ray.strategies"
SINKS = "ingest_ray.sinks"
SECRET_STORES = "ingest_ray.secret_stores"
DATABASE_LOGINS = "ingest_ray.database_logins"


def strategy_templates() -> list[str]:
    return list(installed_names(STRATEGIES))


def sink_templates() -> list[str]:
    return list(installed_names(SINKS))


def secret_schemes() -> tuple[str, ...]:
    """The schemes of references to secrets that have a store."""
    return installed_names(SECRET_STORES)


@cache
def strategy_for(template: str) -> Strategy:
    """Returns the strategy of a template.

    Raises:
        StrategyMissing: no installed package has it.
        ConfigError: it cannot be loaded, or does not have the shape of the contract.
    """
    for point in installed_points(STRATEGIES, template):
        strategy: Strategy = load_plugin(point)
        check_strategy(strategy, point)
        return strategy
    raise StrategyMissing(
        f"template '{template}' has no strategy installed",
        hint=f"installed: {', '.join(strategy_templates()) or 'none'}",
    )


@cache
def sink_family(template: str) -> SinkFamily:
    """Returns the sinks of a template.

    Raises:
        SinkMissing: no installed package has it.
        ConfigError: it cannot be loaded, or does not have the shape of the contract.
    """
    for point in installed_points(SINKS, template):
        family: SinkFamily = load_plugin(point)
        check_family(family, point)
        return family
    raise SinkMissing(
        f"template '{template}' is no sink that is installed",
        hint=f"installed: {', '.join(sink_templates()) or 'none'}",
    )


@cache
def secret_store(scheme: str) -> SecretStore:
    """Returns the store of a scheme.

    Raises:
        ConfigError: there is none, it cannot be loaded, or does not have the shape of the contract.
    """
    for point in installed_points(SECRET_STORES, scheme):
        store: SecretStore = load_plugin(point)
        check_methods(store, methods_of(SecretStore), title(point))
        return store
    raise ConfigError(
        f"there is no store of secrets '{scheme}'", hint=f"installed: {', '.join(secret_schemes()) or 'none'}"
    )


@cache
def database_login(kind: str) -> DatabaseLogin:
    """Returns the login that makes passwords of connections.

    Raises:
        ConfigError: there is none, it cannot be loaded, or does not have the shape of the contract.
    """
    for point in installed_points(DATABASE_LOGINS, kind):
        login: DatabaseLogin = load_plugin(point)
        check_methods(login, methods_of(DatabaseLogin), title(point))
        return login
    raise ConfigError(
        f"there is no login '{kind}'", hint=f"installed: {', '.join(installed_names(DATABASE_LOGINS)) or 'none'}"
    )


def open_sink(endpoint: Endpoint) -> Sink:
    """Opens the sink of an endpoint whose secrets are already resolved."""
    sink = sink_family(endpoint.template).open(endpoint)
    check_sink(type(sink), Sink, endpoint.template)
    return sink


def open_models(endpoint: Endpoint) -> ModelSink:
    """Opens the CDM sink of an endpoint whose secrets are already resolved."""
    sink = sink_family(endpoint.template).open_models(endpoint)
    check_sink(type(sink), ModelSink, endpoint.template)
    return sink


def forget() -> None:
    """Forgets what was found, so that entry points are read again."""
    forget_installed()
    for found in (strategy_for, sink_family, secret_store, database_login):
        found.cache_clear()


def load(endpoint: Endpoint) -> None:
    """Imports the modules of the endpoint's strategy. Listing the units of no dataset makes no request."""
    strategy_for(endpoint.template).list_units(endpoint, ())


def load_sink(template: str) -> None:
    """Imports the module of a sink's template, where the family loads it lazily. Raises `ConfigError` that names what to install."""
    family = sink_family(template)
    preload = getattr(family, "load", None)
    if callable(preload):
        preload()
