"""Reads and checks `ingest.yaml`. An error names file, line and field. Relative paths are relative to the file's folder."""

import os
from collections.abc import Iterator, Mapping
from importlib import import_module
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, JsonValue, ValidationError

from ingest_ray import logs
from ingest_ray.config.document import HOME, Config, EndpointEntry, IngestFile
from ingest_ray.config.relative_paths import (
    absolute,
    absolute_sqlite,
    path_fault,
    references_in_paths,
    with_absolute_paths,
)
from ingest_ray.config.settings_secrets import faults_of_secrets, seal_settings
from ingest_ray.config.validation_errors import faults_of
from ingest_ray.config.yaml_lines import Lines
from ingest_ray.registry import sink_family, sink_templates, strategy_for, strategy_templates
from ingest_ray.sdk.errors import ConfigError, SinkMissing, StrategyMissing
from ingest_ray.sdk.types import Endpoint
from ingest_ray.sdk.url_credentials import credentials_of
from ingest_ray.secrets import check_setting, is_reference, is_stored, resolve
from ingest_ray.secrets.fields import map_secrets, spelled
from ingest_ray.secrets.references import check_reference
from ingest_ray.settings import Settings, TemporalTls

FILE = "ingest.yaml"
SETTINGS = "settings.json"


def load_config(file: Path) -> Config:
    """Reads and checks the whole file. Raises `ConfigError` with all errors, one per line."""
    lines, document = _read(file)
    return _checked_config(lines, document, str(file), file.absolute().parent)


def parse_config(document: Mapping[str, object], folder: Path) -> Config:
    """Checks a document with the keys of `ingest.yaml`. Relative paths are relative to `folder`. Raises `ConfigError`."""
    try:
        text = yaml.safe_dump(dict(document), sort_keys=False, allow_unicode=True)
    except yaml.YAMLError as error:
        raise ConfigError(f"the document has a value that ingest.yaml cannot have: {error}") from None
    lines = Lines(text, "the document")
    return _checked_config(lines, _parsed(lines), "the document", folder)


def _checked_config(lines: Lines, document: IngestFile, source: str, folder: Path) -> Config:
    faults = list(_duplicates(lines, document))
    sources = [absolute_endpoint(entry, folder, is_sink=False) for entry in document.endpoints]
    sinks = [absolute_endpoint(entry, folder, is_sink=True) for entry in document.sinks]
    for section, family in (("endpoints", sources), ("sinks", sinks)):
        for n, endpoint in enumerate(family):
            faults += _endpoint_faults(lines, (section, n), endpoint)
    faults += _rule_faults(lines, document)
    faults += _path_faults(lines, document)
    if faults:
        raise ConfigError(logs.scrub("\n".join(faults)))
    return Config(
        source=source,
        settings=_settings(document, folder),
        endpoints=tuple(sources),
        sinks=tuple(sinks),
        rules=document.units,
        lines=_lines_of(lines, document),
    )


def _lines_of(lines: Lines, document: IngestFile) -> dict[str, str]:
    """The lines of rules, by index, and of their expressions: `2.cdm.work.item.summary`."""
    found = {str(n): lines.at(("units", n, "unit")) for n in range(len(document.units))}
    for n, rule in enumerate(document.units):
        for model_id, fields in rule.cdm.models.items():
            for name, path in [("", ()), *((f".{field}", (field,)) for field in fields)]:
                found[f"{n}.{model_id}{name}"] = lines.at(("units", n, "cdm", "models", model_id, *path))
    return found


def load_settings(file: Path | None = None) -> Settings:
    """Loads the settings from `file`, else `./ingest.yaml`, else the copy that `apply` wrote to the home."""
    if file is None and Path(FILE).is_file():
        file = Path(FILE)
    if file is not None:
        lines, document = _read(file)
        if faults := list(_path_faults(lines, document)):
            raise ConfigError("\n".join(faults))
        return _settings(document, file.absolute().parent)
    return _stored_settings(Path(os.environ.get("INGEST_HOME", HOME)) / SETTINGS)


def settings_without_file(home: Path | None = None) -> Settings:
    """The settings that are stored in `home`; defaults where it has none. None: the home of this folder."""
    folder = Path(home or os.environ.get("INGEST_HOME") or HOME)
    if (folder / SETTINGS).is_file():
        return _stored_settings(folder / SETTINGS)
    return _settings(IngestFile(), Path.cwd(), folder.expanduser())


def _stored_settings(stored: Path) -> Settings:
    try:
        return seal_settings(Settings.model_validate_json(stored.read_bytes()))  # older versions sealed less
    except FileNotFoundError:
        raise ConfigError(
            f"no configuration: neither './{FILE}' nor '{stored}' exists",
            hint="use --config FILE, or write an ingest.yaml and apply it; or begin with ingest-ray copy",
        ) from None
    except (OSError, ValidationError) as error:
        raise ConfigError(
            f"'{stored}' cannot be used: {type(error).__name__}", hint="apply your ingest.yaml again"
        ) from None


def _read(file: Path) -> tuple[Lines, IngestFile]:
    try:
        text = file.read_text(encoding="utf-8")
    except OSError as error:
        raise ConfigError(f"'{file}' cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise ConfigError(f"'{file}' is not UTF-8") from None
    lines = Lines(text, str(file))
    return lines, _parsed(lines)


def _parsed(lines: Lines) -> IngestFile:
    if not isinstance(lines.value, dict):
        raise ConfigError(f"{lines.at(())}: a mapping with endpoints, sinks and units is expected")
    if faults := list(faults_of_secrets(lines, lines.value)):
        raise ConfigError(logs.scrub("\n".join(faults)))
    try:
        return IngestFile.model_validate(lines.value)
    except ValidationError as error:
        _hide_urls(lines.value)
        raise ConfigError(logs.scrub("\n".join(faults_of(error, IngestFile, lines)))) from None


def _settings(document: IngestFile, folder: Path, chosen_home: Path | None = None) -> Settings:
    home = chosen_home or os.environ.get("INGEST_HOME") or folder / Path(document.home).expanduser()
    home = os.path.abspath(home)
    for where, reference in (
        ("ray.token", document.ray.token),
        ("temporal.api_key", document.temporal.api_key),
        *_references_of_tls(document),
        *_references_of_alerts(document),
        *_references_of_telemetry(document),
    ):
        if reference is not None:
            check_setting(reference, where)
    staging = document.staging
    if staging.uri is not None:
        staging = staging.model_copy(update={"uri": absolute(staging.uri, folder)})
    shared = document.shared
    if shared.uri is not None:
        shared = shared.model_copy(update={"uri": absolute(shared.uri, folder)})
    plain = Settings(
        home=home,
        state_url=_state_url(document.state, home, folder),
        staging=staging,
        shared=shared,
        ray=document.ray,
        temporal=document.temporal,
        launcher=document.launcher,
        serve=document.serve,
        alerts=document.alerts,
        retention=document.retention,
        lineage=document.lineage,
        telemetry=document.telemetry,
        mask_key=document.mask_key,
    )
    updates: dict[str, Any] = {}
    if document.kv is not None:
        updates["kv_url"] = _state_url(document.kv, home, folder)
    if document.staged_budget_bytes is not None:
        updates["staged_budget_bytes"] = document.staged_budget_bytes
    return seal_settings(plain.model_copy(update=updates))


def _references_of_alerts(document: IngestFile) -> Iterator[tuple[str, str | None]]:
    for receiver in document.alerts.receivers:
        where = f"alerts.receivers.{receiver.id}"
        yield from ((f"{where}.{field}", getattr(receiver, field)) for field in ("secret", "password"))
        if receiver.url is not None and not receiver.url.startswith(("http://", "https://")):
            yield f"{where}.url", receiver.url


def _references_of_tls(document: IngestFile) -> Iterator[tuple[str, str | None]]:
    tls = document.temporal.tls
    if isinstance(tls, TemporalTls):
        yield from ((f"temporal.tls.{field}", getattr(tls, field)) for field in ("ca", "certificate", "key"))
    if document.ray.ca is not None:
        yield "ray.ca", document.ray.ca


def _references_of_telemetry(document: IngestFile) -> Iterator[tuple[str, str | None]]:
    if document.telemetry is not None:
        for name, value in document.telemetry.headers.items():
            if is_reference(value):
                yield f"telemetry.headers.{name}", value


def _state_url(text: str, home: str, folder: Path) -> str:
    if text == "sqlite":
        return f"sqlite:///{home}/state.db"
    return text if is_reference(text) else absolute_sqlite(text.removeprefix("jdbc:"), folder)


def absolute_endpoint(entry: EndpointEntry, folder: Path, *, is_sink: bool) -> Endpoint:
    """The endpoint with absolute paths. One whose template is not installed stays as it is."""
    endpoint = Endpoint(endpoint_id=entry.id, template=entry.template, config=dict(entry.config))
    try:
        family = sink_family(entry.template) if is_sink else strategy_for(entry.template)
    except (SinkMissing, StrategyMissing):
        return endpoint
    more = ("uri", "path") if is_sink else ()
    config = with_absolute_paths(family.descriptor.config_model, entry.config, folder, more)
    return endpoint.model_copy(update={"config": config})


def _duplicates(lines: Lines, document: IngestFile) -> Iterator[str]:
    seen: dict[str, str] = {}
    for section, family in (("endpoints", document.endpoints), ("sinks", document.sinks)):
        for n, entry in enumerate(family):
            where = lines.at((section, n, "id"))
            if entry.id in seen:
                yield f"{where}: {section}[{n}].id: '{entry.id}' is taken, first at {seen[entry.id]}"
            seen.setdefault(entry.id, where)


def _endpoint_faults(lines: Lines, path: tuple[str, int], endpoint: Endpoint) -> Iterator[str]:
    is_sink = path[0] == "sinks"
    try:
        family = sink_family(endpoint.template) if is_sink else strategy_for(endpoint.template)
    except (SinkMissing, StrategyMissing):
        known = sink_templates() if is_sink else strategy_templates()
        where = lines.at((*path, "template"))
        yield f"{where}: {path[0]}[{path[1]}].template: unknown template '{endpoint.template}'; known: {', '.join(known) or 'none'}"
        return
    model: type[BaseModel] = family.descriptor.config_model
    _hide_secrets(model, endpoint.config)
    faults, has_url_elsewhere = _reference_faults(lines, path, model, endpoint)
    yield from faults
    for field, value in references_in_paths(model, endpoint.config, ("uri", "path") if is_sink else ()):
        where = lines.at((*path, "config", *field))
        yield f"{where}: {path[0]}[{path[1]}].config.{spelled(field)}: {path_fault(value)}"
    if has_url_elsewhere:
        return
    real = _resolved_where_possible(endpoint)
    try:
        model.model_validate(real.config)
    except ValidationError as error:
        yield from faults_of(error, model, lines, (*path, "config"))


def _reference_faults(
    lines: Lines, path: tuple[str, int], model: type[BaseModel], endpoint: Endpoint
) -> tuple[list[str], bool]:
    """The references to stores of secrets that no store can have; and whether a URL is known only where the run executes."""
    faults: list[str] = []
    urls: list[str] = []

    def check(field: tuple[str | int, ...], value: JsonValue, is_url: bool) -> JsonValue:
        if isinstance(value, str) and is_stored(value):
            urls.extend([value] * is_url)
            where = f"{lines.at((*path, 'config', *field))}: {path[0]}[{path[1]}].config.{spelled(field)}"
            try:
                check_reference(value, where)
            except ConfigError as error:
                faults.append(error.message + (f"; {error.hint}" if error.hint else ""))
        return value

    map_secrets(model, endpoint.config, check)
    return faults, bool(urls)


def _resolved_where_possible(endpoint: Endpoint) -> Endpoint:
    """Resolves variables and files where possible; other references stay (the secret may exist only where the run executes)."""
    try:
        return resolve(endpoint, Settings(home="", state_url=""), asks_stores=False)
    except ConfigError:
        return endpoint


def _rule_faults(lines: Lines, document: IngestFile) -> Iterator[str]:
    sources, sinks = {entry.id for entry in document.endpoints}, {entry.id for entry in document.sinks}
    for n, rule in enumerate(document.units):
        named = (
            ("endpoint", rule.endpoint, sources),
            ("sink", rule.sink, sinks),
            ("sink_endpoint", rule.sink_endpoint, sinks),
        )
        for field, value, known in named:
            if value is not None and value not in known:
                ids = ", ".join(sorted(known)) or "none"
                yield f"{lines.at(('units', n, field))}: units[{n}].{field}: no {field.split('_')[0]} '{value}' in this file; there is: {ids}"
        if rule.cdm.models:  # DuckDB is imported only where an expression has to be parsed
            yield from import_module("ingest_ray.config.cdm_expressions").faults_of_mapping(lines, n, rule)


def _path_faults(lines: Lines, document: IngestFile) -> Iterator[str]:
    roots = (
        (("home",), document.home),
        (("staging", "uri"), document.staging.uri),
        (("shared", "uri"), document.shared.uri),
    )
    for field, value in roots:
        if value is not None and is_reference(value):
            yield f"{lines.at(field)}: {'.'.join(field)}: {path_fault(value)}"
    if "://" in document.home:
        yield f"{lines.at(('home',))}: home: it is a folder of each machine; shared.uri takes an object store for what machines share"
    is_spread = document.launcher != "in-process" or document.ray.address != "local"
    if document.shared.uri is not None and is_spread:
        for name, url in (("state", document.state), ("kv", document.kv)):
            if url is not None and url.removeprefix("jdbc:").startswith("sqlite"):
                why = "a database that is a file belongs to one machine, and with shared.uri no folder is shared"
                yield f"{lines.at((name,))}: {name}: {why}: use one with a server"


def _hide_secrets(model: type[BaseModel], config: Mapping[str, JsonValue]) -> None:
    def hide(_: object, value: JsonValue, is_url: bool) -> JsonValue:
        if isinstance(value, str) and not is_reference(value):
            for part in credentials_of(value) if is_url else (value,):
                logs.hide(part)
        return value

    map_secrets(model, config, hide)


def _hide_urls(value: object) -> None:
    """Hides passwords in every text that looks like a URL, before the document is validated."""
    if isinstance(value, str) and ("://" in value or value.startswith("jdbc:")):
        for part in credentials_of(value):
            logs.hide(part)
    for item in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        _hide_urls(item)
