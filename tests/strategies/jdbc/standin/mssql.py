"""SQL Server on PostgreSQL: `declare` makes a table and describes it in the `sys` views as SQL Server would."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from pytds.tds_base import OperationalError
from sqlglot import exp

from ingest_ray.sdk.types import Endpoint
from ingest_ray.testing.servers.postgres import Postgres
from ingest_strategies.jdbc.mssql.dialect import OLDEST
from tests.strategies.jdbc.standin.oracle import ident, lit, num
from tests.strategies.jdbc.standin.server import StandinServer

CI = "SQL_Latin1_General_CP1_CI_AS"
SCHEMA = """
CREATE SCHEMA sys; CREATE SCHEMA ms; SET search_path = ms, pg_catalog;
CREATE COLLATION latin1_general_bin2 FROM pg_catalog."C";
CREATE COLLATION sql_latin1_general_cp1_ci_as FROM pg_catalog."C";
CREATE FUNCTION styled(text, int) RETURNS text LANGUAGE sql IMMUTABLE AS 'SELECT $1';
CREATE FUNCTION styled(uuid, int) RETURNS text LANGUAGE sql IMMUTABLE AS 'SELECT upper($1::text)';
CREATE FUNCTION styled(numeric, int) RETURNS text LANGUAGE sql IMMUTABLE AS 'SELECT $1::text';
CREATE FUNCTION styled(double precision, int) RETURNS text LANGUAGE sql IMMUTABLE AS 'SELECT $1::text';
CREATE FUNCTION styled(bytea, int) RETURNS text LANGUAGE sql IMMUTABLE AS $$SELECT upper(encode($1, 'hex'))$$;
CREATE FUNCTION styled(date, int) RETURNS text LANGUAGE sql IMMUTABLE AS $$SELECT to_char($1, 'YYYY-MM-DD')$$;
CREATE FUNCTION styled(timestamp, int) RETURNS text LANGUAGE sql IMMUTABLE AS
  $$SELECT to_char($1, CASE $2 WHEN 126 THEN 'YYYY-MM-DD"T"HH24:MI:SS.US' ELSE 'YYYY-MM-DD HH24:MI:SS.US' END)$$;
CREATE FUNCTION switchoffset(timestamptz, text) RETURNS timestamptz LANGUAGE sql IMMUTABLE AS 'SELECT $1';
CREATE FUNCTION sysdatetimeoffset() RETURNS timestamptz LANGUAGE sql AS 'SELECT now()';
CREATE FUNCTION sysutcdatetime() RETURNS timestamp LANGUAGE sql AS $$SELECT now() AT TIME ZONE 'UTC'$$;
CREATE FUNCTION sysdatetime() RETURNS timestamp LANGUAGE sql AS $$SELECT now() AT TIME ZONE 'UTC'$$;
CREATE FUNCTION db_name() RETURNS text LANGUAGE sql AS $$SELECT 'shop'$$;
CREATE FUNCTION serverproperty(text) RETURNS text LANGUAGE sql AS $$SELECT '16.0.1000.6'$$;
CREATE FUNCTION databasepropertyex(text, text) RETURNS text LANGUAGE sql AS $$SELECT 'READ_WRITE'$$;
CREATE TABLE active (lowest bigint);
CREATE FUNCTION min_active_rowversion() RETURNS bigint LANGUAGE sql AS 'SELECT lowest FROM ms.active';
CREATE TABLE sys.databases (name text, snapshot_isolation_state int, is_read_committed_snapshot_on int);
CREATE TABLE sys.schemas (schema_id int, name text); INSERT INTO sys.schemas VALUES (1, 'dbo');
CREATE TABLE sys.objects (object_id int, name text, type text, schema_id int DEFAULT 1, is_ms_shipped int DEFAULT 0);
CREATE TABLE sys.types (system_type_id int, user_type_id int, name text, is_assembly_type int DEFAULT 0);
CREATE TABLE sys.columns (object_id int, column_id int, name text, system_type_id int, user_type_id int, max_length int,
  precision int, scale int, is_nullable int, collation_name text, encryption_type int);
CREATE TABLE sys.indexes (object_id int, index_id int, is_primary_key int, is_unique int, type int DEFAULT 1,
  is_disabled int DEFAULT 0, is_hypothetical int DEFAULT 0, has_filter int DEFAULT 0);
CREATE TABLE sys.index_columns (object_id int, index_id int, column_id int, key_ordinal int,
  is_descending_key int DEFAULT 0, is_included_column int DEFAULT 0);
CREATE TABLE sys.partitions (object_id int, index_id int, partition_id bigint, rows bigint);
CREATE TABLE sys.allocation_units (container_id bigint, used_pages bigint);
CREATE TABLE sys.extended_properties (class int, major_id int, minor_id int, name text, value text);
"""
CLEAR = """DROP SCHEMA IF EXISTS dbo CASCADE; CREATE SCHEMA dbo; DELETE FROM ms.active; INSERT INTO ms.active VALUES (1);
DELETE FROM sys.databases; INSERT INTO sys.databases VALUES ('shop', 1, 0);
TRUNCATE sys.objects, sys.types, sys.columns, sys.indexes, sys.index_columns, sys.partitions"""
SESSION = "SET search_path = ms, pg_catalog; SET TimeZone = 'UTC'"
POSTGRES = {
    "int": "int", "bigint": "bigint", "tinyint": "smallint", "bit": "int", "decimal": "numeric", "money": "numeric(19,4)",
    "float": "double precision", "datetime2": "timestamp", "datetime": "timestamp(3)", "datetimeoffset": "timestamptz",
    "date": "date", "uniqueidentifier": "uuid", "varbinary": "bytea", "timestamp": "bigint", "geometry": "text",
    "hierarchyid": "text", "nvarchar": "text", "varchar": "text",
}  # fmt: skip
BINARY = re.compile(r"CAST\(CAST\((-?\d+) AS bigint\) AS binary\(8\)\)")
CODES = {"42P01": 208, "42703": 207, "42601": 102, "42501": 229}


@dataclass(frozen=True)
class Col:
    name: str
    kind: str
    length: int = 0
    precision: int = 0
    scale: int = 0
    is_nullable: bool = True
    collation: str | None = None


@dataclass
class MssqlStandin:
    """`oldest`: the age of the oldest open transaction, or False where that may not be seen."""

    pg: Postgres
    oldest: int | bool | None = None
    tables: int = 0

    def __post_init__(self) -> None:
        self.server = StandinServer(self.pg, SESSION, "tsql", self.translate, fault)
        if not self.pg.run("SELECT 1 FROM pg_namespace WHERE nspname = 'ms'"):
            self.pg.run(SCHEMA)
        self.pg.run(CLEAR)
        for number, name in enumerate([*POSTGRES, "sql_variant"]):
            is_assembly = int(name in ("geometry", "hierarchyid"))
            self.pg.run(f"INSERT INTO sys.types VALUES ({number}, {number}, '{name}', {is_assembly})")

    @property
    def endpoint(self) -> Endpoint:
        url = "jdbc:sqlserver://db.example:1433;databaseName=shop;user=app"
        return Endpoint(endpoint_id="ms", template="jdbc.mssql", config={"url": url, "password": "sekret-sekret"})

    def translate(self, sql: str) -> str | list[tuple[Any, ...]]:
        if sql.startswith("SET "):
            return []
        if sql == "BEGIN TRANSACTION":
            return "BEGIN ISOLATION LEVEL REPEATABLE READ"
        tree = self.server.parsed(sql)
        if sql == OLDEST:
            if self.oldest is False:
                raise refusal(300, "VIEW SERVER STATE permission was denied")
            return [(self.oldest,)]
        if BINARY.search(sql):
            tree = self.server.parsed(BINARY.sub(r"\1", sql))
        answer = tree.transform(styled).sql(dialect="postgres")
        return answer.replace("AS MONEY)", "AS NUMERIC(19, 4))").replace("CURRENT_TIMESTAMP_L_T_Z()", "now()")

    def declare(
        self, name: str, columns: Sequence[Col], primary: Sequence[str] = (), unique: Sequence[str] = ()
    ) -> None:
        parts = ", ".join(f"{ident(c.name)} {type_of(c)}" for c in columns)
        self.pg.run(f"CREATE TABLE dbo.{ident(name)} ({parts})")
        self.tables += 1
        object_id, kinds = self.tables, [*POSTGRES, "sql_variant"]
        self.pg.run(f"INSERT INTO sys.objects VALUES ({object_id}, {lit(name)}, 'U')")
        self.pg.run(f"INSERT INTO sys.partitions VALUES ({object_id}, 1, {object_id}, 0)")
        for number, c in enumerate(columns):
            kind = str(kinds.index(c.kind))
            values = [
                str(object_id), str(number), lit(c.name), kind, kind, num(c.length), num(c.precision), num(c.scale),
                str(int(c.is_nullable)), lit(c.collation), "NULL",
            ]  # fmt: skip
            self.pg.run(f"INSERT INTO sys.columns VALUES ({', '.join(values)})")
        names = [column.name for column in columns]
        for index, (key, is_primary) in enumerate(((primary, 1), (unique, 0)), 1):
            if key:
                self.pg.run(f"CREATE UNIQUE INDEX ON dbo.{ident(name)} ({', '.join(ident(k) for k in key)})")
                self.pg.run(f"INSERT INTO sys.indexes VALUES ({object_id}, {index}, {is_primary}, 1)")
                for ordinal, column in enumerate(key):
                    at = names.index(column)
                    self.pg.run(f"INSERT INTO sys.index_columns VALUES ({object_id}, {index}, {at}, {ordinal})")


def styled(node: Any) -> Any:
    """CONVERT(text type, x, style) -> styled(x, style); bytes in PostgreSQL's spelling."""
    if isinstance(node, exp.HexString):
        return exp.Anonymous(this="decode", expressions=[exp.Literal.string(node.this), exp.Literal.string("hex")])
    if isinstance(node, exp.Convert) and "CHAR" in node.this.sql().upper():
        return exp.Anonymous(
            this="styled", expressions=[node.expression, node.args.get("style") or exp.Literal.number(0)]
        )
    return node


def type_of(column: Col) -> str:
    return POSTGRES[column.kind] + (f" COLLATE ms.{column.collation.lower()}" if column.collation else "")


def refusal(number: int, message: str) -> Exception:
    error = OperationalError(message)
    error.msg_no = error.number = number
    return error


def fault(state: str, message: str) -> Exception:
    return refusal(CODES.get(state, 50_000), message)
