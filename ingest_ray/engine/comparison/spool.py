"""The keys and row hashes of both sides on disk, and the queries that compare them.

One DuckDB file per comparison. Rows of a block are written in the transaction that marks the block as read, so that a comparison
that was killed goes on after its last block. Memory is bounded: DuckDB writes what exceeds it to disk.
"""

import fcntl
import json
import shutil
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import IO

import duckdb
import pyarrow as pa

from ingest_ray.process.failpoints import reached
from ingest_ray.sdk.errors import RunActive
from ingest_ray.sdk.row_hash import plain, restored

MEMORY = "512MB"
BATCH_ROWS = 5_000  # of keys that are looked up again at once
HASH = "row_hash"
SIDES = ("source", "sink")
KINDS = ("missing", "surplus", "different", "doubled", "gone")


class Spool:
    """`keys`: the columns of a key, and after them those that a look-up needs besides; `width` is the number of the former.

    Batches that are added have these columns, and then the hash of the row.
    """

    def __init__(self, folder: Path, identity: str, keys: pa.Schema, width: int, kept_s: float, now: float) -> None:
        """`kept_s`: an unfinished comparison in the folder that is older begins anew.

        Raises:
            RunActive: another comparison has the folder open, in this process or another.
        """
        self._folder = folder
        self._keys = keys
        self._width = width
        self._columns = [f"k{index}" for index in range(len(keys))]
        self._lock = _lock(folder)
        self.is_resumed = self._reopen(identity, now - kept_s)
        if not self.is_resumed:
            self._create(identity, now)

    def _reopen(self, identity: str, oldest: float) -> bool:
        """True where the folder has an unfinished comparison of this identity; another one is deleted."""
        if not self._folder.exists():
            return False
        try:
            self._connection = self._connect()
            if self.note("identity") == identity and float(self.note("begun") or 0) >= oldest:
                return True
            self._connection.close()
        except duckdb.Error:
            pass  # a file of another version, or a damaged one: it has nothing that cannot be read again
        shutil.rmtree(self._folder, ignore_errors=True)
        return False

    def _create(self, identity: str, now: float) -> None:
        self._folder.mkdir(parents=True)
        self._connection = self._connect()
        self._connection.execute("CREATE TABLE notes (name VARCHAR PRIMARY KEY, value VARCHAR)")
        self._connection.execute("CREATE TABLE blocks (number BIGINT PRIMARY KEY, document VARCHAR, rows BIGINT)")
        empty = self._plain(pa.RecordBatch.from_pylist([], schema=pa.schema([*self._keys, (HASH, pa.uint64())])))
        self._connection.register("empty", empty)
        for side in SIDES:
            self._connection.execute(f"CREATE TABLE {side} AS SELECT * FROM empty")
        for kind in KINDS:
            self._connection.execute(f"CREATE TABLE {kind} AS SELECT * EXCLUDE ({HASH}) FROM empty")
        self._connection.unregister("empty")
        self.write_note("begun", str(now))
        self.write_note("identity", identity)

    def _connect(self) -> duckdb.DuckDBPyConnection:
        connection = duckdb.connect(str(self._folder / "comparison.duckdb"))
        connection.execute(f"SET memory_limit = '{MEMORY}'")
        connection.execute("SET preserve_insertion_order = false")
        connection.execute(f"SET temp_directory = '{str(self._folder / 'overflow').replace(chr(39), chr(39) * 2)}'")
        return connection

    def close(self) -> None:
        self._connection.close()
        self._lock.close()

    def delete(self) -> None:
        self._connection.close()
        shutil.rmtree(self._folder, ignore_errors=True)
        self._lock.close()

    # --- progress

    def note(self, name: str) -> str | None:
        found = self._connection.execute("SELECT value FROM notes WHERE name = ?", [name]).fetchall()
        return str(found[0][0]) if found else None

    def write_note(self, name: str, value: object) -> None:
        text = value if isinstance(value, str) else json.dumps(value)
        self._connection.execute("INSERT OR REPLACE INTO notes VALUES (?, ?)", [name, text])

    def write_blocks(self, documents: Iterable[str]) -> None:
        """The blocks of the source; at once, so that there are all of them or none."""
        self._connection.begin()
        for number, document in enumerate(documents):
            self._connection.execute("INSERT INTO blocks VALUES (?, ?, NULL)", [number, document])
        self.write_note("planned", "true")
        self._connection.commit()

    def blocks(self) -> list[tuple[int, str, bool]]:
        """Number, document, and whether the block was read."""
        found = self._connection.execute("SELECT number, document, rows IS NOT NULL FROM blocks ORDER BY number")
        return [(int(number), str(document), bool(is_read)) for number, document, is_read in found.fetchall()]

    # --- rows

    def add_block(self, number: int, batches: Iterable[pa.RecordBatch]) -> int:
        """Adds the rows of a block of the source, all or none. Returns their number."""
        self._connection.begin()
        try:
            rows = self._insert("source", batches)
            self._connection.execute("UPDATE blocks SET rows = ? WHERE number = ?", [rows, number])
        except BaseException:
            self._connection.rollback()
            raise
        reached("verify:before-block")
        self._connection.commit()
        reached("verify:after-block")
        return rows

    def replace_sink(self, batches: Iterable[pa.RecordBatch], sequence: int) -> int:
        """Takes the rows of the sink, as of its commit `sequence`, in place of those of an earlier one."""
        self._connection.begin()
        try:
            self._connection.execute("DELETE FROM sink")
            rows = self._insert("sink", batches)
            self.write_note("sink_sequence", str(sequence))
        except BaseException:
            self._connection.rollback()
            raise
        self._connection.commit()
        return rows

    def _insert(self, table: str, batches: Iterable[pa.RecordBatch]) -> int:
        rows = 0
        for batch in batches:
            if not batch.num_rows:
                continue
            self._connection.register("batch", self._plain(batch))
            self._connection.execute(f"INSERT INTO {table} SELECT * FROM batch")
            self._connection.unregister("batch")
            rows += batch.num_rows
        return rows

    def _plain(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        arrays = [plain(column) for column in batch.columns]
        return pa.RecordBatch.from_arrays(arrays, names=[*self._columns, HASH])

    def count(self, table: str) -> int:
        return int(self._connection.execute(f"SELECT count(*) FROM {table}").fetchall()[0][0])

    # --- comparison

    def compare(self) -> None:
        """Makes the tables `missing` (only at the source), `surplus` (only in the sink), `different` and `doubled`.

        A key of `different` has no row in the sink with a hash that the source has. `doubled`: keys of which the sink has more rows
        than the source.
        """
        columns, same, is_same = ", ".join(self._columns), self._same("s", "t"), f"s.{HASH} = t.{HASH}"
        keys = ", ".join(self._columns[: self._width])
        listed = ", ".join(f"s.{column}" for column in self._columns)
        queries = {
            "missing": f"SELECT DISTINCT {columns} FROM source s ANTI JOIN sink t ON {same}",
            "surplus": f"SELECT DISTINCT {columns} FROM sink s ANTI JOIN source t ON {same}",
            "different": f"SELECT DISTINCT {listed} FROM (SELECT * FROM source s SEMI JOIN sink t ON {same}) s"
            f" ANTI JOIN sink t ON {same} AND {is_same}",
            "doubled": f"SELECT {listed} FROM (SELECT {self._listed_any(columns)}, count(*) AS n FROM sink GROUP BY {keys}"
            f" HAVING count(*) > 1) s JOIN (SELECT {keys}, count(*) AS n FROM source GROUP BY {keys}) t"
            f" ON {same} AND s.n > t.n",
        }
        for table, query in queries.items():
            self._connection.execute(f"CREATE OR REPLACE TABLE {table} AS {query}")

    def _listed_any(self, columns: str) -> str:
        names = columns.split(", ")
        return ", ".join([*names[: self._width], *(f"any_value({name}) AS {name}" for name in names[self._width :])])

    def _same(self, left: str, right: str) -> str:
        return " AND ".join(
            f"{left}.{name} IS NOT DISTINCT FROM {right}.{name}" for name in self._columns[: self._width]
        )

    def keep_found(self, table: str, found: Iterable[pa.RecordBatch], *, is_changed: bool = False) -> int:
        """Leaves in `missing` or `different` only the keys that were `found` at the source again; returns how many left.

        `is_changed`: only those of which the sink has no row with the hash that was found.
        """
        self._connection.execute("CREATE OR REPLACE TABLE found AS SELECT * FROM source LIMIT 0")
        self._insert("found", found)
        kept = f"SELECT s.* FROM {table} s SEMI JOIN found t ON {self._same('s', 't')}"
        if is_changed:
            same = f"{self._same('s', 't')} AND s.{HASH} = t.{HASH}"
            changed = f"SELECT * FROM found s ANTI JOIN sink t ON {same}"
            kept = f"SELECT s.* FROM {table} s SEMI JOIN ({changed}) t ON {self._same('s', 't')}"
        return self._replace(table, kept)

    def drop_found(self, table: str, found: Iterable[pa.RecordBatch]) -> int:
        """Removes from `surplus` the keys that were found at the source; returns how many."""
        self._connection.execute("CREATE OR REPLACE TABLE found AS SELECT * FROM source LIMIT 0")
        self._insert("found", found)
        return self._replace(table, f"SELECT s.* FROM {table} s ANTI JOIN found t ON {self._same('s', 't')}")

    def keep_keys(self, table: str, keys: Iterable[pa.RecordBatch], name: str) -> int:
        """Makes the table `name` of the rows of `table` whose keys are among `keys` (the columns of a key only)."""
        self._connection.execute(f"CREATE OR REPLACE TABLE proven AS SELECT * FROM {table} LIMIT 0")
        width = ", ".join(self._columns[: self._width])
        for batch in keys:
            if batch.num_rows:
                arrays = [plain(column) for column in batch.columns]
                self._connection.register(
                    "batch", pa.RecordBatch.from_arrays(arrays, names=self._columns[: self._width])
                )
                self._connection.execute(f"INSERT INTO proven ({width}) SELECT * FROM batch")
                self._connection.unregister("batch")
        query = f"SELECT s.* FROM {table} s SEMI JOIN proven t ON {self._same('s', 't')}"
        self._connection.execute(f"CREATE OR REPLACE TABLE {name} AS {query}")
        return self.count(name)

    def _replace(self, table: str, query: str) -> int:
        before = self.count(table)
        self._connection.execute(f"CREATE OR REPLACE TABLE {table} AS {query}")
        return before - self.count(table)

    # --- keys

    def read_keys(self, table: str, *, only_key: bool = False, limit: int | None = None) -> Iterator[pa.RecordBatch]:
        """The keys of a table in the source's types, at most `BATCH_ROWS` at a time; `only_key`: without the columns of look-ups."""
        schema = pa.schema(list(self._keys)[: self._width]) if only_key else self._keys
        names = ", ".join(self._columns[: len(schema)])
        order = ", ".join(self._columns[: self._width])
        end = f" LIMIT {limit}" if limit is not None else ""
        query = f"SELECT DISTINCT {names} FROM {table} ORDER BY {order}{end}"
        nullable = pa.schema([field.with_nullable(True) for field in schema])
        for batch in self._connection.cursor().sql(query).to_arrow_reader(BATCH_ROWS):
            for start in range(0, batch.num_rows, BATCH_ROWS):
                part = batch.slice(start, BATCH_ROWS)
                arrays = [restored(column, field.type) for column, field in zip(part.columns, nullable, strict=True)]
                yield pa.RecordBatch.from_arrays(arrays, schema=nullable)

    def samples(self, table: str, limit: int) -> Sequence[dict[str, object]]:
        return [row for batch in self.read_keys(table, only_key=True, limit=limit) for row in batch.to_pylist()]


def _lock(folder: Path) -> IO[bytes]:
    """A file beside the folder that one comparison locks; the lock ends with its process."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    file = open(f"{folder}.lock", "ab")  # noqa: SIM115 -- closed with the spool
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        file.close()
        raise RunActive(
            f"another comparison of this unit goes on: '{folder}' is in use", hint="wait for it, or stop it"
        ) from error
    return file
