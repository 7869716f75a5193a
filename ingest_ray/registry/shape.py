"""Checks the shape of a plug-in when it is loaded: its descriptor, its methods and the number of their parameters."""

import inspect
from collections.abc import Collection, Mapping
from difflib import get_close_matches
from functools import cache
from importlib.metadata import EntryPoint
from typing import Any

from ingest_ray.sdk.contracts import (
    CAPABILITIES,
    Descriptor,
    FileStager,
    KeySumReader,
    ModelSink,
    ProgressReader,
    RowReader,
    Sink,
    SinkFamily,
    Strategy,
)
from ingest_ray.sdk.errors import ConfigError

SINK_CAPABILITIES = (FileStager, KeySumReader, ProgressReader, RowReader)
HINT = "docs/write-a-source.md, docs/write-a-sink.md and docs/write-a-mapper.md describe the contracts"


def load_plugin(point: EntryPoint) -> Any:
    """Imports what the entry point names.

    Raises:
        ConfigError: it cannot be imported.
    """
    try:
        return point.load()
    except Exception as error:
        raise ConfigError(f"{title(point)} cannot be loaded: {type(error).__name__}: {error}", hint=HINT) from error


def title(point: EntryPoint) -> str:
    return f"entry point '{point.name}' of group '{point.group}' ({point.value})"


def check_strategy(strategy: Any, point: EntryPoint) -> None:
    """Raises `ConfigError` where the object is no strategy, or has only a part of an optional capability."""
    _check_descriptor(strategy, point)
    check_methods(strategy, methods_of(Strategy), title(point))
    _check_capabilities(strategy, title(point))


def check_family(family: Any, point: EntryPoint) -> None:
    """Raises `ConfigError` where the object is no family of sinks. `open_models` is needed where it takes CDM models."""
    _check_descriptor(family, point)
    methods = dict(methods_of(SinkFamily))
    if not family.descriptor.supported_cdm_models:
        del methods["open_models"]
    check_methods(family, methods, title(point))


@cache
def check_sink(kind: type, contract: type[Sink] | type[ModelSink], template: str) -> None:
    """Raises `ConfigError` where the class of an opened sink does not have the methods of its contract, or only a part of an optional
    capability."""
    owner = f"sink template '{template}'"
    check_methods(kind, methods_of(contract), owner, bound=False)
    for capability in SINK_CAPABILITIES if contract is Sink else ():
        methods = methods_of(capability)
        if any(callable(getattr(kind, name, None)) for name in methods):
            check_methods(kind, methods, owner, bound=False)


@cache
def methods_of(contract: type) -> Mapping[str, tuple[str, ...]]:
    """Returns the contract's public methods and the names of their parameters, without `self`."""
    methods: dict[str, tuple[str, ...]] = {}
    for part in reversed(contract.__mro__):
        for name, member in vars(part).items():
            if inspect.isfunction(member) and not name.startswith("_"):
                methods[name] = tuple(inspect.signature(member).parameters)[1:]
    return methods


def check_methods(candidate: Any, methods: Mapping[str, tuple[str, ...]], owner: str, *, bound: bool = True) -> None:
    """Raises `ConfigError` that names the first method which is missing or cannot be called with the contract's parameters.

    `bound` is False where `candidate` is a class, whose functions take `self`.
    """
    for name, parameters in methods.items():
        method = getattr(candidate, name, None)
        if not callable(method):
            raise ConfigError(
                f"{owner}: {_kind(candidate)} has no method '{name}'{_similar(name, candidate)}", hint=HINT
            )
        try:
            signature = inspect.signature(method)
        except (ValueError, TypeError):
            continue  # written in C: its parameters cannot be seen
        try:
            signature.bind(*parameters, *(() if bound else ("self",)))
        except TypeError as error:
            raise ConfigError(
                f"{owner}: method '{name}' of {_kind(candidate)} takes {signature}, "
                f"the contract calls it with ({', '.join(parameters)}): {error}",
                hint=HINT,
            ) from None


def _check_descriptor(candidate: Any, point: EntryPoint) -> None:
    if inspect.isclass(candidate):
        raise ConfigError(f"{title(point)} is the class {candidate.__name__}: name an instance of it", hint=HINT)
    descriptor = getattr(candidate, "descriptor", None)
    if not isinstance(descriptor, Descriptor):
        found = "none" if descriptor is None else f"a {type(descriptor).__name__}"
        similar = _similar("descriptor", candidate) if descriptor is None else ""
        raise ConfigError(
            f"{title(point)}: {_kind(candidate)} needs a Descriptor, its descriptor is {found}{similar}", hint=HINT
        )
    if descriptor.template != point.name:
        raise ConfigError(
            f"{title(point)}: the descriptor of {_kind(candidate)} has template '{descriptor.template}'",
            hint="the entry point's name and the descriptor's template are the same",
        )


def _check_capabilities(strategy: Any, owner: str) -> None:
    required = methods_of(Strategy)
    optional: dict[str, tuple[str, ...]] = {}
    for capability in CAPABILITIES:
        methods = methods_of(capability)
        optional |= methods
        if any(callable(getattr(strategy, name, None)) for name in methods):
            check_methods(strategy, methods, owner)
    for name in _public_names(strategy):
        if name in required or name in optional or name == "has_capability":
            continue
        meant = [other for other in get_close_matches(name, optional, 1, 0.85) if not hasattr(strategy, other)]
        if meant and callable(getattr(strategy, name)):
            raise ConfigError(f"{owner}: method '{name}' of {_kind(strategy)}: did you mean '{meant[0]}'?", hint=HINT)


def _similar(name: str, candidate: Any) -> str:
    similar = get_close_matches(name, _public_names(candidate), 1, 0.6)
    return f"; it has '{similar[0]}'" if similar else ""


def _public_names(candidate: Any) -> Collection[str]:
    return [name for name in dir(candidate) if not name.startswith("_")]


def _kind(candidate: Any) -> str:
    return candidate.__name__ if inspect.isclass(candidate) else type(candidate).__name__
