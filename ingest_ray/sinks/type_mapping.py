"""Maps Arrow types to a sink's types: each sink maps leaf types, and this module builds nested types from them."""

from collections.abc import Callable
from dataclasses import dataclass

import pyarrow as pa

from ingest_ray.sdk.types import ColumnFit, Fidelity, worst_fidelity
from ingest_ray.sinks.provenance import PROVENANCE_COLUMNS


@dataclass(frozen=True)
class TypeMapping:
    """`arrow` is the type to which values are converted before the sink gets them."""

    arrow: pa.DataType
    sink_type: str
    fidelity: Fidelity = Fidelity.EXACT
    note: str | None = None


@dataclass(frozen=True)
class TypeRules:
    """One sink's types. `nested`, if given, maps a nested type as a whole."""

    leaf: Callable[[pa.DataType], TypeMapping]
    nested: Callable[[pa.DataType], TypeMapping] | None = None
    has_case_sensitive_names: bool = False
    """`Id` and `id` are two columns."""


def refused(kind: pa.DataType, reason: str) -> TypeMapping:
    return TypeMapping(kind, "-", Fidelity.REFUSED, reason)


def widened(arrow: pa.DataType, sink_type: str, note: str) -> TypeMapping:
    return TypeMapping(arrow, sink_type, Fidelity.WIDENED, note)


def map_schema(schema: pa.Schema, rules: TypeRules) -> list[ColumnFit]:
    """A column whose name the sink cannot have beside the others is refused."""
    lines: list[ColumnFit] = []
    seen: dict[str, str] = {}
    for field in schema:
        reason = _name_conflict(field.name, seen, rules)
        lines.append(_column_fit(field, refused(field.type, reason) if reason else map_type(field.type, rules)))
    return lines


def _name_conflict(name: str, seen: dict[str, str], rules: TypeRules) -> str | None:
    """`seen`: the names before it, by their lower case."""
    if name.lower() in PROVENANCE_COLUMNS:
        return "every sink has a column of that name itself"
    first = seen.setdefault(name.lower(), name)
    if first != name and not rules.has_case_sensitive_names:
        return f"it differs from '{first}' only in case, and this sink takes them for one"
    return None


def _column_fit(field: pa.Field, mapping: TypeMapping) -> ColumnFit:
    return ColumnFit(
        column=field.name,
        arrow=str(field.type),
        sink_type=mapping.sink_type,
        fidelity=mapping.fidelity,
        note=mapping.note,
    )


def map_type(kind: pa.DataType, rules: TypeRules) -> TypeMapping:
    """Encodings (dictionary, run ends, ...) and unknown extensions count as the type that they store."""
    if isinstance(kind, pa.BaseExtensionType) and str(kind.extension_name) not in ("arrow.uuid", "arrow.json"):
        return map_type(kind.storage_type, rules)
    if pa.types.is_dictionary(kind) or pa.types.is_run_end_encoded(kind):
        return map_type(kind.value_type, rules)
    if pa.types.is_union(kind):
        return refused(kind, "a union has no one type")
    if pa.types.is_struct(kind) and kind.num_fields == 0:
        return refused(kind, "a struct without fields")
    if pa.types.is_nested(kind):
        return rules.nested(kind) if rules.nested else _map_nested(kind, rules)
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
    """Precision and scale of a decimal in a type system without negative scales."""
    return max(kind.precision, kind.precision - kind.scale, kind.scale), max(kind.scale, 0)


def map_decimal(kind: pa.DataType, name: str, most_digits: int, as_text: TypeMapping) -> TypeMapping:
    """`name(digits,scale)`; `as_text` for a decimal of more than `most_digits` digits. A negative scale is widened to 0."""
    digits, scale = digits_of(kind)
    if digits > most_digits:
        return as_text
    fidelity = Fidelity.EXACT if kind.scale >= 0 else Fidelity.WIDENED
    return TypeMapping(decimal_type(digits, scale), f"{name}({digits},{scale})", fidelity)


def decimal_type(digits: int, scale: int) -> pa.DataType:
    return pa.decimal128(digits, scale) if digits <= 38 else pa.decimal256(digits, scale)


def instant_note(kind: pa.DataType) -> str | None:
    """For a timestamp with a zone other than UTC."""
    return None if kind.tz == "UTC" else f"the instant; that '{kind.tz}' was its zone is not kept"


def _map_nested(kind: pa.DataType, rules: TypeRules) -> TypeMapping:
    if pa.types.is_map(kind):
        key, value = map_type(kind.key_type, rules), map_type(kind.item_type, rules)
        return _combine(pa.map_(key.arrow, value.arrow), f"map<{key.sink_type},{value.sink_type}>", [key, value])
    if pa.types.is_struct(kind):
        fields = [(field.name, map_type(field.type, rules)) for field in kind]
        arrow = pa.struct([pa.field(name, mapping.arrow) for name, mapping in fields])
        listed = ",".join(f"{name}:{mapping.sink_type}" for name, mapping in fields)
        return _combine(arrow, f"struct<{listed}>", [mapping for _, mapping in fields])
    item = map_type(kind.value_type, rules)
    return _combine(pa.list_(item.arrow), f"array<{item.sink_type}>", [item])


def _combine(arrow: pa.DataType, name: str, parts: list[TypeMapping]) -> TypeMapping:
    worst = Fidelity.EXACT
    for part in parts:
        worst = worst_fidelity(worst, part.fidelity)
    notes = [part.note for part in parts if part.note]
    return TypeMapping(arrow, name, worst, "; ".join(dict.fromkeys(notes)) or None)
