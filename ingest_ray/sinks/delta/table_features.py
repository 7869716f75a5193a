"""What a Delta table demands of its writers, and the refusal of tables whose demands this sink does not meet.

A table that another program made may have features of the protocol
(https://github.com/delta-io/delta/blob/master/PROTOCOL.md#valid-feature-names-in-table-features), rules for its rows, and columns
whose values a writer must compute. Every one is either met or refused by name, before a row is staged.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass

import pyarrow as pa
from deltalake import DeltaTable, QueryBuilder, Schema
from deltalake.exceptions import DeltaError
from deltalake.schema import PrimitiveType

from ingest_ray.sdk.errors import SinkRejected
from ingest_ray.sdk.types import Target, WriteMode
from ingest_ray.sinks.delta.merge import quoted
from ingest_ray.sinks.provenance import with_provenance

CONSTRAINT, INVARIANT = "delta.constraints.", "delta.invariants"
SUPPORTED_FEATURES = {
    "appendOnly": "units that append; others are refused where `delta.appendOnly` is true",
    "invariants": "rows are checked in the commit",
    "checkConstraints": "rows are checked in the commit",
    "changeDataFeed": "merges write change data; added and replaced files need none",
    "timestampNtz": "timestamps without a zone",
    "generatedColumns": "while no column has a generation expression",
    "variantType": "while no column is a variant",
    "columnMapping": "while `delta.columnMapping.mode` is none",
}
REFUSED_FEATURES = {
    "allowColumnDefaults": "this sink writes no defaults of columns",
    "catalogManaged": "commits go through a catalog, which this sink does not call",
    "checkpointProtection": "this sink does not keep protected checkpoints",
    "clustering": "this sink does not cluster files",
    "deletionVectors": "files with deletion vectors would be read as if no row were deleted",
    "domainMetadata": "this sink keeps no domain metadata",
    "icebergCompatV1": "this sink writes no Iceberg field ids",
    "icebergCompatV2": "this sink writes no Iceberg field ids",
    "identityColumns": "this sink does not number rows",
    "inCommitTimestamp": "this sink writes no timestamps into commits",
    "rowTracking": "this sink gives rows no ids",
    "typeWidening": "this sink writes files of one type a column",
    "v2Checkpoint": "this sink writes checkpoints of the first kind",
    "vacuumProtocolCheck": "this sink does not check the protocol in a vacuum",
    "variantShredding": "this sink writes no variants",
}
_LEGACY = {2: ("appendOnly", "invariants"), 3: ("checkConstraints",), 4: ("changeDataFeed", "generatedColumns")}
_LEGACY_MAPPING, _LEGACY_IDENTITY = (
    5,
    6,
)  # https://github.com/delta-io/delta/blob/master/PROTOCOL.md#writer-version-requirements
_COMPUTED = {
    "delta.generationExpression": "generated",
    "delta.identity.start": "an identity column",
    "CURRENT_DEFAULT": "given a default",
}
# The library writes a negative decimal as `-1.-50`, and reads the escapes of bytes as text.
_PARTITION_TYPES = {
    "string",
    "byte",
    "short",
    "integer",
    "long",
    "boolean",
    "date",
    "timestamp",
    "timestamp_ntz",
    "float",
    "double",
}


@dataclass(frozen=True)
class RowRule:
    """A condition that every row must meet: it is true, neither false nor NULL."""

    name: str
    condition: str


def refuse_unsupported_features(table: DeltaTable) -> None:
    for name in _features(table):
        if name not in SUPPORTED_FEATURES:
            raise unsupported_feature(table.table_uri, name)
    mode = table.metadata().configuration.get("delta.columnMapping.mode", "none")
    if mode != "none":
        raise SinkRejected(
            f"table '{table.table_uri}' has columns under other names in its files (delta.columnMapping.mode = '{mode}'), which"
            " this sink does not write",
            hint=_ELSEWHERE,
        )


def unsupported_feature(uri: str, name: str) -> SinkRejected:
    reason = REFUSED_FEATURES.get(name, "this sink does not know it")
    return SinkRejected(
        f"table '{uri}' has the table feature '{name}': {reason}",
        hint=f"remove the feature (ALTER TABLE ... DROP FEATURE {name}), or {_ELSEWHERE}",
    )


def refuse_unsupported_table(table: DeltaTable, target: Target, schema: pa.Schema) -> None:
    """`schema`: the source's columns.

    Raises:
        SinkRejected: the table has a feature, a column, a partition or a rule that a run of `target` cannot respect.
    """
    refuse_unsupported_features(table)
    refuse_append_only(table, target)
    _refuse_columns(table, with_provenance(schema))
    refuse_partitions(table.table_uri, pa.schema(table.schema().to_arrow()), table.metadata().partition_columns)
    for rule in row_rules(table):
        _refuse_unknown_condition(table, rule)


def refuse_append_only(table: DeltaTable, target: Target) -> None:
    """https://github.com/delta-io/delta/blob/master/PROTOCOL.md#append-only-tables"""
    if target.write is not WriteMode.APPEND:
        refuse_removal(table, f"unit '{target.unit_id}' is written by {target.write.value}")


def refuse_removal(table: DeltaTable, purpose: str) -> None:
    if table.metadata().configuration.get("delta.appendOnly", "false").lower() == "true":
        raise SinkRejected(
            f"table '{table.table_uri}' is append-only (delta.appendOnly = true), and {purpose}",
            hint=f"set delta.appendOnly to false, let the unit append, or {_ELSEWHERE}",
        )


def has_demands(table: DeltaTable) -> bool:
    """True where files cannot be added as they are: the table has partitions, or rules for its rows."""
    return bool(table.metadata().partition_columns or row_rules(table))


def row_rules(table: DeltaTable) -> list[RowRule]:
    rules = [
        RowRule(f"CHECK {name.removeprefix(CONSTRAINT)}", condition)
        for name, condition in sorted(table.metadata().configuration.items())
        if name.startswith(CONSTRAINT)
    ]
    for field in table.schema().fields:
        if not field.nullable:
            rules.append(RowRule(f"NOT NULL {field.name}", f"{quoted(field.name)} IS NOT NULL"))
        if INVARIANT in field.metadata:
            invariant = json.loads(str(field.metadata[INVARIANT]))["expression"]["expression"]
            rules.append(RowRule(f"invariant of {field.name}", str(invariant)))
    return rules


def _features(table: DeltaTable) -> list[str]:
    protocol = table.protocol()
    if protocol.writer_features is not None or protocol.reader_features is not None:
        return sorted({*(protocol.writer_features or ()), *(protocol.reader_features or ())})
    version = protocol.min_writer_version
    implied = [name for since, names in _LEGACY.items() if version >= since for name in names]
    if version >= _LEGACY_MAPPING or protocol.min_reader_version > 1:
        implied.append("columnMapping")
    if version >= _LEGACY_IDENTITY:
        implied.append("identityColumns")
    return implied


def _refuse_columns(table: DeltaTable, written: pa.Schema) -> None:
    by_lower = {name.lower(): name for name in written.names}
    for field in table.schema().fields:
        for key, description in _COMPUTED.items():
            if key in field.metadata:
                raise SinkRejected(
                    f"column '{field.name}' of table '{table.table_uri}' is {description} ({key}), and this sink computes no values",
                    hint=_ELSEWHERE,
                )
        if '"variant"' in field.to_json():
            raise SinkRejected(
                f"column '{field.name}' of table '{table.table_uri}' is a variant, which this sink does not write",
                hint=_ELSEWHERE,
            )
        written_name = by_lower.get(field.name.lower())
        if written_name is None and not field.nullable:
            raise SinkRejected(
                f"column '{field.name}' of table '{table.table_uri}' is NOT NULL, and the unit has no such column",
                hint=f"make the column nullable, or {_ELSEWHERE}",
            )
        if written_name is not None and written_name != field.name:
            raise SinkRejected(
                f"column '{written_name}' is '{field.name}' in table '{table.table_uri}': the names differ only in case, and Delta"
                " takes them for one",
                hint=f"rename one of them, or {_ELSEWHERE}",
            )


def refuse_partitions(uri: str, columns: pa.Schema, partitions: Sequence[str]) -> None:
    """Raises `SinkRejected` for a partition of a type whose values the library does not write exactly."""
    kinds = {field.name: field.type for field in Schema.from_arrow(columns).fields}
    for name in partitions:
        kind = kinds[name]
        if not isinstance(kind, PrimitiveType) or kind.type not in _PARTITION_TYPES:
            raise SinkRejected(
                f"table '{uri}' is partitioned by column '{name}' of type '{getattr(kind, 'type', kind)}', whose values"
                " would not be written exactly",
                hint=f"partition by another column, or {_ELSEWHERE}",
            )


def _refuse_unknown_condition(table: DeltaTable, rule: RowRule) -> None:
    """The conditions are in the SQL of the engine that made them; the library must be able to evaluate them."""
    try:
        query = f"SELECT 1 FROM t WHERE NOT ({rule.condition}) LIMIT 0"
        QueryBuilder().register("t", table).execute(query).read_all()
    except DeltaError as error:
        raise SinkRejected(
            f"table '{table.table_uri}' has the rule '{rule.name}', which this sink cannot evaluate: {rule.condition}",
            hint=f"write the rule in standard SQL, drop it, or {_ELSEWHERE}",
        ) from error


_ELSEWHERE = "load the unit into a table of its own: another `uri`, or another sink"
