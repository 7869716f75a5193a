"""What a source's columns look like in a sink, and what no sink takes: the checks that all sinks share."""

import pyarrow as pa

from ingest_ray.sdk.arrow_types import LOGICAL
from ingest_ray.sdk.errors import SinkRejected
from ingest_ray.sdk.types import Fidelity, Target, WriteMode
from ingest_ray.sinks.provenance import with_provenance
from ingest_ray.sinks.type_mapping import TypeRules, fit_type
from ingest_ray.sinks.widening import is_wider


def wanted_schema(schema: pa.Schema, rules: TypeRules) -> pa.Schema:
    """Converted and with provenance. Everything may be NULL, for a source may drop its own promise later."""
    fields = []
    for field in schema:
        fit = fit_type(field.type, rules)
        if fit.fidelity is Fidelity.REFUSED:
            raise SinkRejected(f"column '{field.name}' of type '{field.type}' cannot be kept: {fit.note}")
        fields.append(pa.field(field.name, fit.arrow))
    wanted = with_provenance(pa.schema(fields))
    seen: dict[str, str] = {}
    for name in wanted.names if not rules.has_cased_names else []:
        if seen.setdefault(name.lower(), name) != name:
            raise SinkRejected(
                f"columns '{seen[name.lower()]}' and '{name}' differ only in case, and this sink takes them for one",
                hint="leave one out: policy.columns",
            )
    return wanted


def refuse_unordered(target: Target, schema: pa.Schema, rules: TypeRules) -> None:
    """Keys and versions must be there, and compare in the sink as they do at the source."""
    if target.write is not WriteMode.UPSERT:
        return
    if not target.key:
        raise SinkRejected(f"unit '{target.unit_id}' cannot be upserted without a key", hint="set policy.primary_key")
    for name in [*target.key, *([target.version_column] if target.version_column else [])]:
        if name not in schema.names:
            raise SinkRejected(
                f"column '{name}' is a key or version of unit '{target.unit_id}', and its rows have none"
            )
        kind = schema.field(name).type
        fit = fit_type(kind, rules)
        is_number = pa.types.is_decimal(kind) or pa.types.is_interval(kind) or is_spelled_number(schema.field(name))
        is_number_as_text = pa.types.is_string(fit.arrow) and is_number
        is_nested = pa.types.is_nested(kind) or pa.types.is_nested(fit.arrow)
        if is_nested or (name == target.version_column and is_number_as_text):
            raise SinkRejected(
                f"column '{name}' of type '{kind}' cannot be ordered by this sink",
                hint="follow another cursor; or give it a precision at the source, for example in a view",
            )


def is_spelled_number(field: pa.Field) -> bool:
    """A number that its source could give only as text: as text, 10 comes before 9."""
    return (field.metadata or {}).get(LOGICAL) in (b"decimal", b"interval")


def must_widen(name: str, there: pa.DataType, wanted: pa.DataType, place: str) -> bool:
    """True where the sink's column has to become wider first; a column that neither holds nor is held is refused."""
    if there == wanted or is_wider(there, wanted):
        return False
    if is_wider(wanted, there):
        return True
    raise SinkRejected(
        f"column '{name}' is {there} in table '{place}', and {wanted} now: neither holds the other",
        hint="reset the unit and remove the table to load it again",
    )
