"""The tables of CDM models in one database: their names, and their columns as created, evolved and recorded in the ledger.

The columns of a table are recorded once, under the table's own name, because many units write to it.
"""

import pyarrow as pa

from ingest_ray.cdm.models import KEY, SOURCE_KEY, model_of
from ingest_ray.sdk.contracts import ModelTable
from ingest_ray.sdk.errors import SinkRejected
from ingest_ray.sdk.types import Target
from ingest_ray.sinks.columns import sink_schema
from ingest_ray.sinks.databases.commit_ledger import CommitLedger, RecordedColumns
from ingest_ray.sinks.databases.database import Database, Session
from ingest_ray.sinks.databases.table_schema import (
    TableDefinition,
    column_types,
    create_or_evolve,
    stage_schema,
)
from ingest_ray.sinks.type_mapping import is_list


class ModelTables:
    """`prefix` stands before every table's name."""

    def __init__(self, database: Database, ledger: CommitLedger, prefix: str) -> None:
        self._db = database
        self._ledger = ledger
        self._prefix = prefix

    def name(self, target: Target) -> str:
        model = model_of(str(target.model))
        return self._db.model_table_name(model.family, self._prefix + model.table)

    def create_or_evolve(self, session: Session, table: ModelTable) -> None:
        name = self.name(table.target)
        wanted = sink_schema(table.schema, self._db.rules)
        kinds = column_types(self._db, table.schema, wanted)
        if self._db.json_type is not None:
            kinds |= {field.name: self._db.json_type for field in table.schema if _is_json(field.type)}
        columns = {self._db.quoted(field): kind for field, kind in kinds.items()}

        def create() -> None:
            self._db.create_schema(session, name)
            self._db.create_model_table(session, name, columns, self._db.quoted(KEY), self._db.quoted(SOURCE_KEY))

        hint = "remove or rename the table, or choose another prefix or schema"
        definition = TableDefinition(name, table.schema, wanted, kinds, create, hint)
        record = self._ledger.column_record(session, self._columns_target(table.target), name, 0)
        create_or_evolve(self._db, session, definition, record)

    def require(self, session: Session, target: Target) -> None:
        """Raises `SinkRejected` where the table is missing, or was not made by this sink."""
        if not self._db.read_columns(session, self.name(target)):
            raise SinkRejected(
                f"table '{self._db.location(self.name(target))}' of model '{target.model}' is not there",
                hint="ingest-ray provision SINK MODEL makes it",
            )
        self._recorded_columns(session, target)
        self._db.refuse_unsafe_tables(session, [self.name(target)])

    def stage_schema(self, session: Session, table: ModelTable) -> pa.Schema:
        recorded = self._recorded_columns(session, table.target)
        return stage_schema(self._db, self.name(table.target), table.schema, recorded)

    def _recorded_columns(self, session: Session, target: Target) -> RecordedColumns:
        entry = self._ledger.read_entry(session, self._columns_target(target))
        if entry is None or not entry.columns.reported:
            raise SinkRejected(
                f"table '{self._db.location(self.name(target))}' was not made by this sink",
                hint="ingest-ray provision SINK MODEL",
            )
        return entry.columns

    def _columns_target(self, target: Target) -> Target:
        """The application id under which the ledger records the columns of a table."""
        return target.model_copy(update={"app_id": f"cdm-table:{self.name(target)}"})


def _is_json(kind: pa.DataType) -> bool:
    return isinstance(kind, pa.BaseExtensionType) or is_list(kind)
