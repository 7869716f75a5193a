"""A plug-in of a wrong shape is refused when it is loaded, with its entry point, the object and the method named."""

import itertools
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pyarrow as pa
import pytest
from pydantic import BaseModel

from ingest_ray import registry
from ingest_ray.cdm import RowMapper, mapper_for
from ingest_ray.cdm.registry import MAPPERS
from ingest_ray.sdk.contracts import Backfill, Descriptor, KeyScan, QuickCheck, capability, find_capability
from ingest_ray.sdk.errors import ConfigError, ModeUnsupported
from ingest_ray.sdk.simple_source import SimpleSource
from ingest_ray.sdk.types import Endpoint
from ingest_ray.testing.plugins import write_entry_points

PlugIn = Callable[..., str]
NUMBERS = itertools.count()


class Config(BaseModel):
    pass


@pytest.fixture
def plug_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[PlugIn]:
    """Offers an object under a template of its own; returns the template."""

    def offer(group: str, made: Callable[[Descriptor], Any], **descriptor: Any) -> str:
        number = next(NUMBERS)
        template, module = f"my.plugin{number}", f"my_plugin_{number}"
        content = ModuleType(module)
        content.plugin = made(Descriptor(template, "STREAM", "Mine", "mine", Config, **descriptor))  # type: ignore[attr-defined]
        monkeypatch.setitem(__import__("sys").modules, module, content)
        write_entry_points(tmp_path, f"plugin-{number}", {group: {template: f"{module}:plugin"}})
        registry.forget()
        return template

    monkeypatch.syspath_prepend(str(tmp_path))
    yield offer
    registry.forget()


class Whole(SimpleSource):
    def __init__(self, descriptor: Any) -> None:
        self.descriptor = descriptor

    def datasets(self, endpoint: Any) -> Any:
        return []

    def rows(self, endpoint: Any, dataset: Any) -> Any:
        return []


def without(kind: type, name: str, **members: Any) -> type:
    """A class with the public members of `kind`, except one, and with others."""
    copied = {key: getattr(kind, key) for key in dir(kind) if not key.startswith("__") and key != name}
    return type(kind.__name__, (), {**copied, "__init__": lambda self, d: setattr(self, "descriptor", d), **members})


def refusal(load: Callable[[], Any]) -> str:
    with pytest.raises(ConfigError) as caught:
        load()
    assert caught.value.code == "E_BAD_INPUT"
    assert caught.value.hint
    return caught.value.message


def strategy_refusal(plug_in: PlugIn, made: Callable[[Descriptor], Any]) -> str:
    template = plug_in(registry.STRATEGIES, made)
    message = refusal(lambda: registry.strategy_for(template))
    assert message.startswith(f"entry point '{template}' of group 'ingest_ray.strategies' (my_plugin_")
    return message


def test_a_strategy_of_the_right_shape_is_loaded(plug_in: PlugIn) -> None:
    assert registry.strategy_for(plug_in(registry.STRATEGIES, Whole)).descriptor.title == "Mine"


@pytest.mark.parametrize(
    "name", ["test", "collect", "describe", "list_units", "check", "probe", "scopes", "cut", "read"]
)
def test_a_missing_method_is_named(plug_in: PlugIn, name: str) -> None:
    assert f"Whole has no method '{name}'" in strategy_refusal(plug_in, without(Whole, name))


def test_a_misspelt_method_is_suggested(plug_in: PlugIn) -> None:
    kind = without(Whole, "collect", colect=Whole.collect)
    assert strategy_refusal(plug_in, kind).endswith("Whole has no method 'collect'; it has 'colect'")


def test_a_method_with_the_wrong_number_of_parameters_is_named(plug_in: PlugIn) -> None:
    message = strategy_refusal(plug_in, without(Whole, "cut", cut=lambda self, spec, scope: iter(())))
    assert "method 'cut' of Whole takes (spec, scope), the contract calls it with (spec, probe, scope, gap)" in message


def test_a_method_with_more_parameters_that_have_defaults_is_accepted(plug_in: PlugIn) -> None:
    kind = without(Whole, "check", check=lambda self, spec, strict=True: None)
    registry.strategy_for(plug_in(registry.STRATEGIES, kind))


@pytest.mark.parametrize(("descriptor", "said"), [(None, "is none"), ({"template": "x"}, "is a dict")])
def test_a_descriptor_that_is_none_is_refused(plug_in: PlugIn, descriptor: Any, said: str) -> None:
    assert said in strategy_refusal(plug_in, lambda right: Whole(descriptor))


def test_a_misspelt_descriptor_is_suggested(plug_in: PlugIn) -> None:
    kind = without(Whole, "descriptor", __init__=lambda self, d: setattr(self, "descripter", d))
    assert strategy_refusal(plug_in, kind).endswith("its descriptor is none; it has 'descripter'")


def test_a_descriptor_of_another_template_is_refused(plug_in: PlugIn) -> None:
    other = Descriptor("other", "STREAM", "Other", "mine", Config)
    assert "has template 'other'" in strategy_refusal(plug_in, lambda right: Whole(other))


def test_a_class_is_no_strategy(plug_in: PlugIn) -> None:
    assert "is the class Whole: name an instance of it" in strategy_refusal(plug_in, lambda right: Whole)


def test_a_module_that_cannot_be_imported_is_named(tmp_path: Path, plug_in: PlugIn) -> None:
    write_entry_points(tmp_path, "broken", {registry.STRATEGIES: {"my.broken": "no_such_module_at_all:x"}})
    message = refusal(lambda: registry.strategy_for("my.broken"))
    assert message.endswith("cannot be loaded: ModuleNotFoundError: No module named 'no_such_module_at_all'")


def test_half_of_a_capability_is_refused(plug_in: PlugIn) -> None:
    kind = without(Whole, "", scan_keys=lambda self, spec: iter(()))
    assert "Whole has no method 'proven_gone'" in strategy_refusal(plug_in, kind)


def test_a_misspelt_method_of_a_capability_is_suggested(plug_in: PlugIn) -> None:
    kind = without(Whole, "", is_unchangd=lambda self, spec, known: False)
    assert strategy_refusal(plug_in, kind).endswith("method 'is_unchangd' of Whole: did you mean 'is_unchanged'?")


def test_a_capability_that_is_missing_is_a_typed_error(plug_in: PlugIn) -> None:
    template = plug_in(registry.STRATEGIES, Whole)
    strategy = registry.strategy_for(template)
    for kind in (Backfill, KeyScan, QuickCheck):
        assert find_capability(strategy, kind) is None
        with pytest.raises(ModeUnsupported, match=f"'{template}' do not support") as caught:
            capability(strategy, kind)
        assert caught.value.code == "E_INGESTION_MODE_UNSUPPORTED"


class Family:
    def __init__(self, descriptor: Descriptor, sink: Any = None) -> None:
        self.descriptor = descriptor
        self._sink = sink

    def open(self, endpoint: Endpoint) -> Any:
        return self._sink


def test_a_family_of_sinks_without_open_is_refused(plug_in: PlugIn) -> None:
    template = plug_in(registry.SINKS, without(Family, "open", opens=Family.open))
    message = refusal(lambda: registry.sink_family(template))
    assert message.endswith("Family has no method 'open'; it has 'opens'")
    assert f"entry point '{template}' of group 'ingest_ray.sinks'" in message


def test_a_family_of_cdm_sinks_needs_open_models(plug_in: PlugIn) -> None:
    registry.sink_family(plug_in(registry.SINKS, Family))
    template = plug_in(registry.SINKS, Family, supported_cdm_models=("cdm.work.*",))
    assert "Family has no method 'open_models'" in refusal(lambda: registry.sink_family(template))


def test_a_sink_of_a_wrong_shape_is_refused_when_it_is_opened(plug_in: PlugIn) -> None:
    from ingest_ray.sinks.delta.sink import DeltaSink

    def opened(kind: type) -> str:
        template = plug_in(registry.SINKS, lambda descriptor: Family(descriptor, kind(None)))
        endpoint = Endpoint(endpoint_id="e", template=template)
        message = refusal(lambda: registry.open_sink(endpoint))
        assert message.startswith(f"sink template '{template}': ")
        return message

    assert "DeltaSink has no method 'erase'" in opened(without(DeltaSink, "erase"))
    wrong = without(DeltaSink, "commit", commit=lambda self, target, group: None)
    assert "method 'commit' of DeltaSink takes (self, target, group)" in opened(wrong)
    assert "DeltaSink has no method 'adopts'" in opened(without(DeltaSink, "adopts"))
    unnumbered = without(DeltaSink, "", stage_files=lambda self, target, piece, schema, batches: None)
    assert "the contract calls it with (target, piece, attempt, schema, batches)" in opened(unnumbered)


def row(row: Any, context: Any) -> Any:
    return ()


class Mapper:
    version, models, keeps = "mine/1", ("cdm.work.item",), ()

    def __init__(self, **members: Any) -> None:
        self.__dict__.update(members)

    def map(self, page: pa.RecordBatch, context: Any) -> Any:
        return {}


@pytest.mark.parametrize(
    ("mappers", "said"),
    [
        ([1], "is a list: it must be a mapping from unit id to mapper"),
        ({"t": object()}, "the mapper of unit 't': object has no version"),
        ({"t": Mapper(version="")}, "the mapper of unit 't': Mapper has no version"),
        ({"t": Mapper(models="cdm.work.item")}, "the mapper of unit 't': models of Mapper is no tuple of model ids"),
        ({"t": Mapper(models=("cdm.work.itm",))}, "the mapper of unit 't': there is no CDM model 'cdm.work.itm'"),
        ({"t": Mapper(keeps=None)}, "the mapper of unit 't': keeps of Mapper is no tuple of model ids"),
        ({"t": Mapper(map=lambda page: {})}, "method 'map' of Mapper takes (page)"),
        ({"t": Mapper(map=None)}, "Mapper has no method 'map'"),
        ({"t": RowMapper("mine/1", ("cdm.work.item",), lambda row: ())}, "method 'row' of RowMapper takes (row)"),
    ],
)
def test_a_mapper_of_a_wrong_shape_is_refused(plug_in: PlugIn, mappers: Any, said: str) -> None:
    template = plug_in(MAPPERS, lambda descriptor: mappers)
    message = refusal(lambda: mapper_for(template, "t"))
    assert message.startswith(f"entry point '{template}' of group 'ingest_ray.cdm_mappers'")
    assert said in message


def test_mappers_of_the_right_shape_are_loaded(plug_in: PlugIn) -> None:
    good = RowMapper("mine/1", ("cdm.work.item",), row)
    template = plug_in(MAPPERS, lambda descriptor: {"t": good, "u": Mapper()})
    assert mapper_for(template, "t") is good
