"""Commits a group of prepared slices to the snapshot of a table: by a merge, or by adding their files."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict

import pyarrow as pa
from deltalake import CommitProperties, DeltaTable, Schema
from pydantic import JsonValue

from ingest_ray.sdk.errors import StagingLost
from ingest_ray.sdk.types import Prepared, Target, WriteMode
from ingest_ray.sinks.delta.files import TableFiles
from ingest_ray.sinks.delta.history.changes import apply_history_changes
from ingest_ray.sinks.delta.history.merge import merge_history
from ingest_ray.sinks.delta.layout.table_partitions import wanted_partitions
from ingest_ray.sinks.delta.layout.touched import NO_ROW, prepared_partitions
from ingest_ray.sinks.delta.log.commits import (
    CommitCounts,
    add_actions,
    commit_properties,
    count_rows,
)
from ingest_ray.sinks.delta.log.entries import AFTER_COMMIT
from ingest_ray.sinks.delta.merge import find_superseded_rows, merge
from ingest_ray.sinks.delta.new_keys import has_only_new_keys, rewrite_as_one_file
from ingest_ray.sinks.delta.row_changes import apply_changes
from ingest_ray.sinks.delta.row_writer import explain_broken_rule, refuse_unfit_partition_values, write_rows
from ingest_ray.sinks.delta.table_features import (
    has_demands,
    refuse_append_only,
    refuse_unsupported_features,
)
from ingest_ray.sinks.delta.table_schema import (
    file_schema,
    replaced_schema,
)
from ingest_ray.sinks.history.columns import (
    keeps_history,
)
from ingest_ray.sinks.prepared_changes import TRUNCATES, only_changes


class GroupCommit:
    """Commits one group to the snapshot of a table, by a merge or by adding its files."""

    def __init__(
        self,
        files: TableFiles,
        target: Target,
        schema: pa.Schema,
        epoch: int,
        sequence: int,
        group: Sequence[Prepared],
    ) -> None:
        self._files = files
        self._target = target
        self._schema = schema
        self._epoch = epoch
        self._sequence = sequence
        self._prepared_files = [file for prepared in group for file in prepared_files(prepared)]
        self._rows = sum(prepared.rows for prepared in group)
        self._bytes = sum(prepared.bytes for prepared in group)
        self.names = [str(file["name"]) for file in self._prepared_files]
        self._changes = only_changes(group)
        self.is_rewritten = False
        """True where the table has the rows in other files than the prepared ones."""
        self.is_added = False
        """True where the table has the prepared files themselves."""
        self.is_merged = False
        """True where a merge took the rows over."""

    def apply(self, table: DeltaTable, *, merges: bool) -> CommitCounts:
        sizes = {str(file["name"]): int(str(file["bytes"])) for file in self._prepared_files}
        damaged = self._files.find_damaged(sizes)
        if damaged:
            raise StagingLost(
                f"{len(damaged)} prepared files of '{self._files.uri}' are gone or damaged, such as '{damaged[0]}'"
            )
        return self.merge(table) if merges else self.add(table)

    def merge(self, table: DeltaTable) -> CommitCounts:
        columns, names = file_schema(table, self._target, self._schema), self.names
        truncates = self._changes is not None and self._changes.payload.get(TRUNCATES)
        within = "" if truncates else prepared_partitions(table, self._files, names, columns, self._target)
        if self._changes is not None:
            return self._apply(table, columns, NO_ROW if within is None else within)
        dropped = find_superseded_rows(self._files, names, columns, self._target)
        if within is None and not len(dropped):
            return self._write(table)
        if not len(dropped) and has_only_new_keys(table, self._files, names, columns, self._target):
            rewritten = rewrite_as_one_file(self._files, names, self._bytes, columns)
            self.is_rewritten = rewritten is not None
            return self._add(table, None if rewritten is None else [asdict(file) for file in rewritten])
        if keeps_history(self._target):
            with self._checked_rows(table, columns):
                return merge_history(
                    table,
                    self._files,
                    names,
                    columns,
                    self._target,
                    self._properties,
                    NO_ROW if within is None else within,
                )
        properties = self._properties(len(dropped))
        with self._checked_rows(table, columns):
            metrics = merge(
                table,
                self._files,
                names,
                columns,
                self._target,
                dropped,
                properties,
                NO_ROW if within is None else within,
            )
        self.is_merged = True
        return count_rows(self._rows, len(dropped), metrics)

    def _apply(self, table: DeltaTable, columns: pa.Schema, within: str) -> CommitCounts:
        """Changes of a log."""
        changes = self._changes
        assert changes is not None
        if keeps_history(self._target):
            return apply_history_changes(
                table, self._files, self.names, columns, self._target, self._properties, within
            )
        properties = self._properties(dropped=0)
        counts = apply_changes(table, self._files, self.names, columns, self._target, changes, properties, within)
        self.is_merged = True
        return counts

    def add(self, table: DeltaTable) -> CommitCounts:
        refuse_unsupported_features(table)
        if (has_demands(table) or wanted_partitions(table, self._target)) and self._rows:
            return self._write(table)
        return self._add(table, None)

    def _write(self, table: DeltaTable) -> CommitCounts:
        is_replace = self._target.write is WriteMode.REPLACE
        if is_replace:
            refuse_append_only(table, self._target)
        columns = file_schema(table, self._target, self._schema)
        replaced = replaced_schema(table, self._target, self._schema) if is_replace else None
        with self._checked_rows(table, columns):
            properties = self._properties(dropped=0)
            write_rows(table, self._files, self.names, columns, replaced, properties, self._target)
        self.is_rewritten = True
        return CommitCounts(self._rows)

    @contextmanager
    def _checked_rows(self, table: DeltaTable, columns: pa.Schema) -> Iterator[None]:
        """Refuses rows that the table cannot have, with the name of the rule that they break."""
        refuse_unfit_partition_values(table, self._files, self.names, columns, self._target)
        try:
            yield
        except Exception as error:
            cause = explain_broken_rule(table, self._files, self.names, columns, self._target, error)
            if cause is error:
                raise
            raise cause from error

    def _add(self, table: DeltaTable, rewritten: Sequence[Mapping[str, JsonValue]] | None) -> CommitCounts:
        is_replace = self._target.write is WriteMode.REPLACE
        if not is_replace:
            file_schema(table, self._target, self._schema)  # refuses columns that were changed by hand meanwhile
        as_it_is = self._target.model_copy(update={"layout": None})  # without rows there is no new layout
        columns = replaced_schema(table, as_it_is, self._schema) if is_replace else table.schema()
        table.create_write_transaction(
            add_actions(self._prepared_files if rewritten is None else rewritten),
            "overwrite" if is_replace else "append",
            Schema.from_arrow(columns) if is_replace else columns,
            commit_properties=self._properties(dropped=0),
            post_commithook_properties=AFTER_COMMIT,
        )
        self.is_added = rewritten is None
        return CommitCounts(self._rows)

    def _properties(self, dropped: int) -> CommitProperties:
        facts: dict[str, JsonValue] = {"ingestRowsPrepared": self._rows, "ingestRowsDropped": dropped}
        return commit_properties(self._target, self._epoch, self._sequence, **facts)


def prepared_files(prepared: Prepared) -> list[dict[str, JsonValue]]:
    """Each file as the fields of a `WrittenFile`."""
    files = prepared.payload.get("files")
    return [file for file in files if isinstance(file, dict)] if isinstance(files, list) else []
