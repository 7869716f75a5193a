"""Turns the addresses of a source and of a target into endpoints, as the installed templates declare them (`Descriptor.addresses`)."""

import re
from collections.abc import Callable, Iterator
from pathlib import Path, PurePosixPath
from urllib.parse import unquote, urlsplit

from pydantic import JsonValue

from ingest_ray.config.document import EndpointEntry
from ingest_ray.config.loading import absolute_endpoint
from ingest_ray.registry import sink_family, sink_templates, strategy_for, strategy_templates
from ingest_ray.sdk.contracts import Addresses, Descriptor
from ingest_ray.sdk.errors import ConfigError
from ingest_ray.sdk.types import Endpoint
from ingest_ray.sdk.url_credentials import shown_url

_SCHEME = re.compile(r"(?:jdbc:)?([a-z][a-z0-9]+)(?:\+\w+)?:")  # one letter is a drive


def source_endpoint(address: str, password: str | None, folder: Path) -> Endpoint:
    """The endpoint, whose id is the name of the database. `folder`: of relative paths.

    Raises:
        ConfigError: no installed source has such addresses.
    """
    descriptors, broken = _descriptors(strategy_templates(), lambda name: strategy_for(name).descriptor)
    found = _endpoint(address, password, folder, descriptors, is_sink=False)
    if found is None:
        raise ConfigError(
            f"SOURCE: '{shown_url(address)}' is no address that copy reads",
            hint=f"{_known(descriptors, broken)}; for other sources write an ingest.yaml",
        )
    return found


def target_endpoint(address: str, password: str | None, folder: Path) -> Endpoint:
    """Raises `ConfigError` for an address that no installed sink has."""
    descriptors, broken = _descriptors(sink_templates(), lambda name: sink_family(name).descriptor)
    found = _endpoint(address, password, folder, descriptors, is_sink=True)
    if found is None:
        raise ConfigError(f"--to: '{shown_url(address)}' is no address of a sink", hint=_known(descriptors, broken))
    return found


def _endpoint(
    address: str, password: str | None, folder: Path, descriptors: list[Descriptor], *, is_sink: bool
) -> Endpoint | None:
    match = _SCHEME.match(address)
    scheme = match[1] if match else None
    for descriptor, addresses in _with_addresses(descriptors):
        if scheme in addresses.schemes:
            value = address.partition(":")[2].removeprefix("///") if addresses.is_path else address
        elif scheme is None and Path(address).suffix in addresses.suffixes:
            value = addresses.file_form.format(path=address)
        else:
            continue
        config: dict[str, JsonValue] = {addresses.field: value}
        if password is not None:
            config["password"] = password
        entry = EndpointEntry(id=_name_of(address), template=descriptor.template, config=config)
        return absolute_endpoint(entry, folder, is_sink=is_sink)
    return None


def _with_addresses(descriptors: list[Descriptor]) -> Iterator[tuple[Descriptor, Addresses]]:
    return ((each, each.addresses) for each in descriptors if each.addresses is not None)


def _descriptors(names: list[str], load: Callable[[str], Descriptor]) -> tuple[list[Descriptor], list[str]]:
    """Those that load, and the names of plug-ins that do not: a broken one must not end a copy that does not need it."""
    found: list[Descriptor] = []
    broken: list[str] = []
    for name in names:
        try:
            found.append(load(name))
        except ConfigError:
            broken.append(name)
    return found, broken


def _known(descriptors: list[Descriptor], broken: list[str]) -> str:
    schemes = sorted({scheme for _, addresses in _with_addresses(descriptors) for scheme in addresses.schemes})
    text = "addresses begin with " + ", ".join(f"{scheme}:" for scheme in schemes)
    return f"{text}; templates that cannot be loaded: {', '.join(broken)}" if broken else text


def _name_of(address: str) -> str:
    """The name of the database, file or folder, as an id."""
    parts = urlsplit(address.removeprefix("jdbc:"))
    path = PurePosixPath(unquote(parts.path) or parts.netloc.rpartition("@")[2])
    return re.sub(r"[^A-Za-z0-9._-]+", "-", path.stem).strip("-._")[:60] or "data"
