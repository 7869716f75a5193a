"""Checks that an endpoint's configuration suits its template, and tests the connection."""

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from pydantic import JsonValue, ValidationError

from ingest_ray import logs
from ingest_ray.catalog import endpoints
from ingest_ray.catalog.endpoints import EndpointDescription
from ingest_ray.config.document import EndpointEntry
from ingest_ray.config.loading import absolute_endpoint
from ingest_ray.config.relative_paths import unresolved_texts
from ingest_ray.config.validation_errors import describe_errors
from ingest_ray.registry import open_models, open_sink, strategy_for
from ingest_ray.sdk.contracts import ReachChecker
from ingest_ray.sdk.errors import ConfigError, ConnectionTestFailed, EndpointNotFound, IngestError, ModeUnsupported
from ingest_ray.sdk.types import ConnectionReport, Diagnostic, Endpoint, Model, Target, WriteMode
from ingest_ray.secrets import resolve
from ingest_ray.secrets.fields import spelled
from ingest_ray.service.endpoints.secret_sources import check_sources
from ingest_ray.service.endpoints.templates import descriptor_of
from ingest_ray.service.installation import Installation
from ingest_ray.settings import Settings
from ingest_ray.staging.reach import check_places
from ingest_ray.state.sealed_secrets import open_source
from ingest_ray.state.shared_permits import sharing_permits

TESTED_AT_ONCE = 8


def try_connection(installation: Installation, template: str, config: Mapping[str, JsonValue]) -> ConnectionReport:
    """Tests whether a login succeeds; registers nothing. Raises `ConfigError` for a config that does not suit the template."""
    check_sources(installation, template, config)
    return _connect(installation, checked_endpoint(installation, "connection-test", template, config))


def checked_endpoint(
    installation: Installation, endpoint_id: str, template: str, config: Mapping[str, JsonValue]
) -> Endpoint:
    """The endpoint with absolute paths. Raises `ConfigError` naming each invalid field; sealed values are opened for the check."""
    role, descriptor = descriptor_of(template)
    more = ("uri", "path") if role == "sink" else ()
    if faults := unresolved_texts(descriptor.config_model, config, more):
        raise ConfigError("\n".join(f"config.{spelled(field)}: {text}" for field, text in faults))
    real = resolve(Endpoint(endpoint_id=endpoint_id, template=template, config=dict(config)), installation.settings)
    try:
        descriptor.config_model.model_validate(real.config)
    except ValidationError as error:
        raise ConfigError(logs.scrub(describe_errors(error, descriptor.config_model, ("config",)))) from None
    entry = EndpointEntry(id=endpoint_id, template=template, config=dict(config))
    return absolute_endpoint(entry, Path(installation.settings.home), is_sink=role == "sink")


class TestedEndpoint(Model):
    """An endpoint whose login was accepted, and what was noticed."""

    endpoint_id: str
    version: str | None = None
    diagnostics: tuple[Diagnostic, ...] = ()


def try_endpoint(installation: Installation, endpoint_id: str) -> TestedEndpoint:
    """Tests the connection of a registered source or sink.

    Raises:
        EndpointNotFound: no endpoint has that id.
        ConnectionTestFailed, ConfigError: it cannot be used; the message has every error.
    """
    with installation.catalog.read() as connection:
        entry = endpoints.find(connection, endpoint_id, "source") or endpoints.find(connection, endpoint_id, "sink")
    if entry is None:
        raise EndpointNotFound(f"endpoint '{endpoint_id}' is not registered", hint="ingest-ray apply")
    report = _connected(installation, entry.endpoint)
    return TestedEndpoint(endpoint_id=endpoint_id, version=report.version, diagnostics=report.diagnostics)


def check_endpoints(settings: Settings, listed: Sequence[Endpoint]) -> None:
    """Tests the connections of endpoints and sinks that need not be registered, side by side, and the stores of staging and quarantine.

    Raises:
        ConnectionTestFailed, ConfigError: names each that cannot be used, and why.
    """
    installation = Installation(settings)
    with ThreadPoolExecutor(max(1, min(TESTED_AT_ONCE, len(listed)))) as threads:
        places = threads.submit(_fault_of_places, settings)
        found = [*threads.map(lambda endpoint: _fault_of(installation, endpoint), listed), places.result()]
    faults = [fault for fault in found if fault is not None]
    if faults:
        kind = ConfigError if all(type(fault) is ConfigError for fault in faults) else ConnectionTestFailed
        raise kind("\n".join(fault.message for fault in faults), hint=next((f.hint for f in faults if f.hint), None))


def _fault_of_places(settings: Settings) -> IngestError | None:
    try:
        check_places(settings)
    except IngestError as error:
        return error
    return None


def _fault_of(installation: Installation, endpoint: Endpoint) -> IngestError | None:
    try:
        _connected(installation, endpoint)
    except IngestError as error:
        return error
    return None


def test_and_describe(
    installation: Installation, endpoint: Endpoint, about: EndpointDescription
) -> EndpointDescription:
    """`about` with the server's version. Raises `ConnectionTestFailed`, or `ConfigError` where nothing could be asked."""
    return about.model_copy(update={"version": _connected(installation, endpoint).version})


def _connected(installation: Installation, endpoint: Endpoint) -> ConnectionReport:
    report = _connect(installation, endpoint)
    if not report.ok:
        errors = [item for item in report.diagnostics if item.level == "error"] or list(report.diagnostics)
        message = "; ".join(item.message for item in errors) or "it does not answer"
        if errors and errors[0].code == ConfigError.code:
            raise ConfigError(logs.scrub(f"endpoint '{endpoint.endpoint_id}': {message}"), hint=errors[0].hint)
        raise ConnectionTestFailed(
            logs.scrub(f"endpoint '{endpoint.endpoint_id}' cannot be used: {message}"),
            hint=next((item.hint for item in errors if item.hint), None),
        )
    return report


def _connect(installation: Installation, endpoint: Endpoint) -> ConnectionReport:
    role, _ = descriptor_of(endpoint.template)
    if role == "source":
        with sharing_permits(installation.settings):
            return strategy_for(endpoint.template).test(open_source(endpoint, installation.settings))
    real = resolve(endpoint, installation.settings)
    try:
        _probe_sink(real)
    except IngestError as error:
        fault = Diagnostic(level="error", code=error.code, message=logs.scrub(error.message), hint=error.hint)
        return ConnectionReport(ok=False, diagnostics=(fault,))
    return ConnectionReport(ok=True)


def _probe_sink(sink: Endpoint) -> None:
    """Makes the cheapest request that needs a connection. A sink of CDM models creates its commit ledger, as a first commit would."""
    target = Target(
        sink_id=sink.endpoint_id,
        endpoint_id="connection",
        unit_id="test",
        app_id="connection-test",
        write=WriteMode.APPEND,
    )
    try:
        rows = open_sink(sink)
    except ModeUnsupported:
        models = open_models(sink)
        if isinstance(models, ReachChecker):
            models.check_reach()
        models.open((), 0)
        return
    if isinstance(rows, ReachChecker):
        rows.check_reach()
    rows.is_empty(target)
