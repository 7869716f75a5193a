"""How Arrow types arrive in a sink: a sink says it of leaf types, and this module of everything made of them."""

from collections.abc import Callable
from dataclasses import dataclass

import pyarrow as pa

from ingest_ray.sdk.types import ColumnFit, Fidelity, worst_fidelity


@dataclass(frozen=True)
class Fit:
    """`arrow` is the type that values are converted to before the sink sees them."""

    arrow: pa.DataType
    sink_type: str
    fidelity: Fidelity = Fidelity.EXACT
    note: str | None = None


@dataclass(frozen=True)
class TypeRules:
    """One sink's types. `nested`, where a sink has it, says of a whole nested type what becomes of it."""

    leaf: Callable[[pa.DataType], Fit]
    nested: Callable[[pa.DataType], Fit] | None = None
    has_cased_names: bool = False
    """`Id` and `id` are two columns."""


def refused(kind: pa.DataType, reason: str) -> Fit:
    return Fit(kind, "-", Fidelity.REFUSED, reason)


def widened(arrow: pa.DataType, sink_type: str, note: str) -> Fit:
    return Fit(arrow, sink_type, Fidelity.WIDENED, note)


def fit_schema(schema: pa.Schema, rules: TypeRules) -> list[ColumnFit]:
    fits = [(field, fit_type(field.type, rules)) for field in schema]
    return [
        ColumnFit(
            column=field.name, arrow=str(field.type), sink_type=fit.sink_type, fidelity=fit.fidelity, note=fit.note
        )
        for field, fit in fits
    ]


def fit_type(kind: pa.DataType, rules: TypeRules) -> Fit:
    """Encodings (dictionary, run ends, ...) and extensions that nobody here knows do not count."""
    if isinstance(kind, pa.BaseExtensionType) and str(kind.extension_name) not in ("arrow.uuid", "arrow.json"):
        return fit_type(kind.storage_type, rules)
    if pa.types.is_dictionary(kind) or pa.types.is_run_end_encoded(kind):
        return fit_type(kind.value_type, rules)
    if pa.types.is_union(kind):
        return refused(kind, "a union has no one type")
    if pa.types.is_struct(kind) and kind.num_fields == 0:
        return refused(kind, "a struct without fields")
    if pa.types.is_nested(kind):
        return rules.nested(kind) if rules.nested else _made_of_parts(kind, rules)
    return rules.leaf(kind)


def is_list(kind: pa.DataType) -> bool:
    return bool(
        pa.types.is_list(kind)
        or pa.types.is_large_list(kind)
        or pa.types.is_fixed_size_list(kind)
        or pa.types.is_list_view(kind)
        or pa.types.is_large_list_view(kind)
    )


def is_text(kind: pa.DataType) -> bool:
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind))


def is_bytes(kind: pa.DataType) -> bool:
    return bool(
        pa.types.is_binary(kind)
        or pa.types.is_large_binary(kind)
        or pa.types.is_binary_view(kind)
        or pa.types.is_fixed_size_binary(kind)
    )


def digits_of(kind: pa.DataType) -> tuple[int, int]:
    """Precision and scale of a decimal, as a type without negative scales has them."""
    return max(kind.precision, kind.precision - kind.scale, kind.scale), max(kind.scale, 0)


def _made_of_parts(kind: pa.DataType, rules: TypeRules) -> Fit:
    if pa.types.is_map(kind):
        key, value = fit_type(kind.key_type, rules), fit_type(kind.item_type, rules)
        return _made_of(pa.map_(key.arrow, value.arrow), f"map<{key.sink_type},{value.sink_type}>", [key, value])
    if pa.types.is_struct(kind):
        fields = [(field, fit_type(field.type, rules)) for field in kind]
        arrow = pa.struct([pa.field(field.name, fit.arrow) for field, fit in fields])
        name = ",".join(f"{field.name}:{fit.sink_type}" for field, fit in fields)
        return _made_of(arrow, f"struct<{name}>", [fit for _, fit in fields])
    item = fit_type(kind.value_type, rules)
    return _made_of(pa.list_(item.arrow), f"array<{item.sink_type}>", [item])


def _made_of(arrow: pa.DataType, name: str, parts: list[Fit]) -> Fit:
    worst = Fidelity.EXACT
    for part in parts:
        worst = worst_fidelity(worst, part.fidelity)
    notes = [part.note for part in parts if part.note]
    return Fit(arrow, name, worst, "; ".join(dict.fromkeys(notes)) or None)
