"""The columns of a sink's table for a source's schema, and the checks of columns that all sinks share."""

from collections.abc import Iterable, Sequence

import pyarrow as pa

from ingest_ray.sdk.dataset_schema import LOGICAL
from ingest_ray.sdk.errors import SinkRejected
from ingest_ray.sdk.types import Fidelity, Target
from ingest_ray.sinks.history.columns import is_of_history
from ingest_ray.sinks.provenance import INGESTED_AT, with_provenance
from ingest_ray.sinks.type_mapping import TypeRules, map_type
from ingest_ray.sinks.widening import becomes_text, common_decimal, is_wider, scale_of

NEW_COLUMN = "run the unit first: a run adds new columns to its table"  # the hint where a table lacks a column


def sink_schema(schema: pa.Schema, rules: TypeRules) -> pa.Schema:
    """Converted types, and the columns of provenance. Every column is nullable: the source may drop a NOT NULL later."""
    fields = []
    for field in schema:
        if is_of_history(field):
            fields.append(field.remove_metadata())
            continue
        mapping = map_type(field.type, rules)
        if mapping.fidelity is Fidelity.REFUSED:
            raise SinkRejected(f"column '{field.name}' of type '{field.type}' cannot be kept: {mapping.note}")
        fields.append(pa.field(field.name, mapping.arrow))
    wanted = with_provenance(pa.schema(fields))
    seen: dict[str, str] = {}
    for name in wanted.names if not rules.has_case_sensitive_names else []:
        if seen.setdefault(name.lower(), name) != name:
            raise SinkRejected(
                f"columns '{seen[name.lower()]}' and '{name}' differ only in case, and this sink takes them for one",
                hint="leave one out: policy.columns",
            )
    return wanted


def internal_name(name: str, columns: Iterable[str]) -> str:
    """The name of a column that a sink needs on the way, with `_` at its end until none of the source's columns has it in any case."""
    taken = {column.lower() for column in columns}
    while name in taken:
        name += "_"
    return name


def refuse_unordered_keys(target: Target, schema: pa.Schema, rules: TypeRules) -> None:
    """For upserts: the key and the version column must exist, and compare in the sink as at the source."""
    if not target.write.merges:
        return
    if not target.key:
        raise SinkRejected(f"unit '{target.unit_id}' cannot be upserted without a key", hint="set policy.primary_key")
    version = [] if target.version_column in (None, INGESTED_AT) else [str(target.version_column)]
    for name in [*target.key, *version]:
        if name not in schema.names:
            raise SinkRejected(
                f"column '{name}' is a key or version of unit '{target.unit_id}', and its rows have none"
            )
        kind = schema.field(name).type
        mapping = map_type(kind, rules)
        is_number = (
            pa.types.is_decimal(kind)
            or pa.types.is_integer(kind)
            or pa.types.is_interval(kind)
            or is_textual_number(schema.field(name))
        )
        is_number_as_text = pa.types.is_string(mapping.arrow) and is_number
        is_nested = pa.types.is_nested(kind) or pa.types.is_nested(mapping.arrow)
        if is_nested or (name == target.version_column and is_number_as_text):
            raise SinkRejected(
                f"column '{name}' of type '{kind}' cannot be ordered by this sink",
                hint="follow another cursor; or give it a precision at the source, for example in a view",
            )


def is_textual_number(field: pa.Field) -> bool:
    """True for a number that its source returns only as text: as text, 10 comes before 9."""
    return (field.metadata or {}).get(LOGICAL) in (b"decimal", b"interval")


def wider_type(
    field: pa.Field,
    stored: pa.DataType,
    source: pa.Schema,
    rules: TypeRules,
    location: str,
    keys: Sequence[str] = (),
) -> pa.DataType | None:
    """The type to which the sink's column must be widened first; None where it holds every value of `field`.

    `source`: the columns before the sink maps them. A number of `keys` becomes text only where its old values get the new spelling.

    Raises:
        SinkRejected: neither of the two types holds every value of the other.
    """
    name, wanted = field.name, field.type
    if stored == wanted or is_wider(stored, wanted):
        return None
    is_text = name in source.names and becomes_text(source.field(name).type, stored, wanted)
    is_spelled_again = is_text and name in keys and scale_of(source.field(name).type) != scale_of(stored)
    if is_wider(wanted, stored) or (is_text and not is_spelled_again):
        return wanted
    both = common_decimal(stored, wanted)
    if both is not None and map_type(both, rules).arrow == both:
        return both
    raise SinkRejected(
        f"column '{name}' is {stored} in table '{location}', and {wanted} now: neither holds the other",
        hint="reset the unit and remove the table to load it again",
    )
