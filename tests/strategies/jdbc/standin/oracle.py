"""Oracle on PostgreSQL: `declare` makes a table and describes it in the ALL_ views as Oracle would."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import oracledb

from ingest_ray.sdk.types import Endpoint
from ingest_ray.testing.servers.postgres import Postgres
from ingest_strategies.jdbc.oracle.dialect import OLDEST
from tests.strategies.jdbc.standin.server import StandinServer

SCHEMA = """
CREATE SCHEMA ora; SET search_path = ora, pg_catalog;
CREATE TABLE dual (dummy text); INSERT INTO dual VALUES ('X');
CREATE FUNCTION to_char(numeric, text) RETURNS text LANGUAGE sql IMMUTABLE AS 'SELECT trim_scale($1)::text';
CREATE FUNCTION to_char(int, text) RETURNS text LANGUAGE sql IMMUTABLE AS 'SELECT $1::text';
CREATE FUNCTION to_char(bigint, text) RETURNS text LANGUAGE sql IMMUTABLE AS 'SELECT $1::text';
CREATE FUNCTION to_char(double precision) RETURNS text LANGUAGE sql IMMUTABLE AS 'SELECT $1::text';
CREATE FUNCTION to_char(text) RETURNS text LANGUAGE sql IMMUTABLE AS 'SELECT $1';
CREATE FUNCTION to_char(timestamp, text) RETURNS text LANGUAGE sql IMMUTABLE AS
  $$SELECT CASE WHEN $1 < '0001-01-01' THEN '-' ELSE ' ' END
  || pg_catalog.to_char($1, replace(replace(replace($2, 'SYYYY', 'YYYY'), 'FF9', 'US"000"'), 'FF6', 'US'))$$;
CREATE FUNCTION to_char(timestamptz, text) RETURNS text LANGUAGE sql AS
  $$SELECT ora.to_char($1 AT TIME ZONE 'UTC', $2)$$;
CREATE FUNCTION to_date(text, text) RETURNS timestamp LANGUAGE sql IMMUTABLE AS 'SELECT $1::timestamp';
CREATE FUNCTION to_timestamp(text, text) RETURNS timestamp LANGUAGE sql IMMUTABLE AS 'SELECT $1::timestamp';
CREATE FUNCTION from_tz(timestamp, text) RETURNS timestamptz LANGUAGE sql IMMUTABLE AS $$SELECT $1 AT TIME ZONE 'UTC'$$;
CREATE FUNCTION sys_extract_utc(timestamptz) RETURNS timestamp LANGUAGE sql IMMUTABLE AS $$SELECT $1 AT TIME ZONE 'UTC'$$;
CREATE FUNCTION to_binary_double(text) RETURNS double precision LANGUAGE sql IMMUTABLE AS 'SELECT $1::double precision';
CREATE FUNCTION rawtohex(bytea) RETURNS text LANGUAGE sql IMMUTABLE AS $$SELECT upper(encode($1, 'hex'))$$;
CREATE FUNCTION hextoraw(text) RETURNS bytea LANGUAGE sql IMMUTABLE AS $$SELECT decode($1, 'hex')$$;
CREATE FUNCTION numtodsinterval(numeric, text) RETURNS interval LANGUAGE sql IMMUTABLE AS
  $$SELECT make_interval(secs => $1::double precision)$$;
CREATE TABLE product_component_version (product text, version text);
INSERT INTO product_component_version VALUES ('Oracle Database 19c', '19.0.0.0.0');
CREATE TABLE all_users (username text, oracle_maintained text); INSERT INTO all_users VALUES ('SHOP', 'N'), ('SYS', 'Y');
CREATE TABLE all_tables (owner text, table_name text, num_rows bigint, avg_row_len bigint, nested text DEFAULT 'NO',
  secondary text DEFAULT 'N', iot_type text);
CREATE TABLE all_mviews (owner text, mview_name text);
CREATE TABLE all_views (owner text, view_name text);
CREATE TABLE all_tab_comments (owner text, table_name text, comments text);
CREATE TABLE all_col_comments (owner text, table_name text, column_name text, comments text);
CREATE TABLE all_tab_cols (owner text, table_name text, column_name text, data_type text, data_type_owner text,
  data_length int, data_precision int, data_scale int, char_length int, nullable text, "collation" text,
  hidden_column text DEFAULT 'NO', column_id int);
CREATE TABLE all_constraints (owner text, table_name text, constraint_name text, constraint_type text,
  status text DEFAULT 'ENABLED', validated text DEFAULT 'VALIDATED');
CREATE TABLE all_cons_columns (owner text, constraint_name text, table_name text, column_name text, position int);
CREATE TABLE all_indexes (owner text, index_name text, table_owner text, table_name text, uniqueness text,
  index_type text DEFAULT 'NORMAL', status text DEFAULT 'VALID', visibility text DEFAULT 'VISIBLE');
CREATE TABLE all_ind_columns (index_owner text, index_name text, column_name text, column_position int,
  descend text DEFAULT 'ASC');
"""
CLEAR = """DROP SCHEMA IF EXISTS "SHOP" CASCADE; CREATE SCHEMA "SHOP";
TRUNCATE ora.all_tables, ora.all_mviews, ora.all_views, ora.all_tab_comments, ora.all_col_comments, ora.all_tab_cols,
  ora.all_constraints, ora.all_cons_columns, ora.all_indexes, ora.all_ind_columns"""
SESSION = "SET search_path = ora, pg_catalog; SET TimeZone = 'UTC'; SET extra_float_digits = 1"
POSTGRES = {
    "NUMBER": "numeric", "VARCHAR2": 'text COLLATE "C"', "CHAR": 'char({length}) COLLATE "C"', "DATE": "timestamp(0)",
    "TIMESTAMP(6)": "timestamp", "TIMESTAMP(6) WITH TIME ZONE": "timestamptz", "BINARY_DOUBLE": "double precision",
    "TIMESTAMP(6) WITH LOCAL TIME ZONE": "timestamptz", "RAW": "bytea", "CLOB": "text", "SDO_GEOMETRY": "text",
}  # fmt: skip
NOTHING = re.compile(r"ALTER SESSION|SET TRANSACTION READ ONLY|BEGIN DBMS_FLASHBACK\.DISABLE")
ENABLE = re.compile(r"BEGIN DBMS_FLASHBACK\.ENABLE_AT_SYSTEM_CHANGE_NUMBER\((\d+)\); END;")
CODES = {"42P01": "ORA-00942", "42703": "ORA-00904", "42601": "ORA-00933", "42501": "ORA-01031"}


@dataclass(frozen=True)
class Col:
    name: str
    kind: str
    precision: int | None = None
    scale: int | None = None
    length: int | None = None
    is_nullable: bool = True
    owner: str | None = None
    collation: str | None = None


@dataclass
class OracleStandin:
    """`oldest`: the age of the oldest open transaction, or False where GV_$TRANSACTION may not be seen."""

    pg: Postgres
    may_flash_back: bool = True
    oldest: int | bool | None = None
    snapshots: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.server = StandinServer(self.pg, SESSION, "oracle", self.translate, fault)
        if not self.pg.run("SELECT 1 FROM pg_namespace WHERE nspname = 'ora'"):
            self.pg.run(SCHEMA)
        self.pg.run(CLEAR)

    @property
    def endpoint(self) -> Endpoint:
        config = {"url": "jdbc:oracle:thin:@//db.example:1521/SHOP", "user": "app", "password": "sekret-sekret"}
        return Endpoint(endpoint_id="ora", template="jdbc.oracle", config=dict(config))

    def translate(self, sql: str) -> str | list[tuple[Any, ...]]:
        if NOTHING.match(sql):
            return []
        if sql == "COMMIT":
            return "ROLLBACK"
        if match := ENABLE.match(sql):
            return f"BEGIN ISOLATION LEVEL REPEATABLE READ; SET TRANSACTION SNAPSHOT '{self.snapshots[match[1]]}'"
        self.server.parsed(sql)
        if sql == OLDEST:
            if self.oldest is False:
                raise oracledb.DatabaseError("ORA-00942: table or view does not exist")
            return [(None if self.oldest is None else str(self.oldest),)]
        if "DBMS_FLASHBACK.GET_SYSTEM_CHANGE_NUMBER" in sql:
            return [(self.flashback(),)]
        sql = re.sub(r"\bSYSTIMESTAMP\b", "now()", sql)
        return sql.replace("WITH LOCAL TIME ZONE", "WITH TIME ZONE")

    def flashback(self) -> str:
        """Keeps a snapshot of the present state under a change number."""
        if not self.may_flash_back:
            raise oracledb.DatabaseError('ORA-00904: "DBMS_FLASHBACK": invalid identifier')
        holder = self.pg.connect()
        holder.autocommit = True
        self.pg.run("BEGIN ISOLATION LEVEL REPEATABLE READ", holder)
        number = str(1000 + len(self.snapshots))
        self.snapshots[number] = str(self.pg.run("SELECT pg_export_snapshot()", holder)[0][0])
        return number

    def declare(
        self, name: str, columns: Sequence[Col], primary: Sequence[str] = (), unique: Sequence[str] = ()
    ) -> None:
        parts = ", ".join(f"{ident(c.name)} {type_of(c)}" for c in columns)
        self.pg.run(f'CREATE TABLE "SHOP".{ident(name)} ({parts})')
        self.pg.run(f"INSERT INTO ora.all_tables VALUES ('SHOP', {lit(name)}, 0, 40)")
        self.describe(name, columns)
        for key, kind in ((primary, "P"), (unique, "U")):
            if key:
                self.constrain(name, key, kind)

    def describe(self, name: str, columns: Sequence[Col]) -> None:
        for number, c in enumerate(columns):
            values = [
                "'SHOP'", lit(name), lit(c.name), lit(c.kind), lit(c.owner), num(c.length), num(c.precision),
                num(c.scale), num(c.length), lit("Y" if c.is_nullable else "N"), lit(c.collation), "'NO'", str(number),
            ]  # fmt: skip
            self.pg.run(f"INSERT INTO ora.all_tab_cols VALUES ({', '.join(values)})")

    def constrain(self, name: str, key: Sequence[str], kind: str) -> None:
        named = lit(f"{name}_{kind}")
        unique = ", ".join(ident(column) for column in key)
        self.pg.run(f'CREATE UNIQUE INDEX ON "SHOP".{ident(name)} ({unique})')
        self.pg.run(f"INSERT INTO ora.all_constraints VALUES ('SHOP', {lit(name)}, {named}, '{kind}')")
        self.pg.run(f"INSERT INTO ora.all_indexes VALUES ('SHOP', {named}, 'SHOP', {lit(name)}, 'UNIQUE')")
        for number, column in enumerate(key):
            self.pg.run(
                f"INSERT INTO ora.all_cons_columns VALUES ('SHOP', {named}, {lit(name)}, {lit(column)}, {number})"
            )
            self.pg.run(f"INSERT INTO ora.all_ind_columns VALUES ('SHOP', {named}, {lit(column)}, {number})")


def type_of(column: Col) -> str:
    return POSTGRES[column.kind].format(length=column.length)


def ident(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def lit(value: str | None) -> str:
    return "NULL" if value is None else "'" + value.replace("'", "''") + "'"


def num(value: int | None) -> str:
    return "NULL" if value is None else str(value)


def fault(state: str, message: str) -> Exception:
    return oracledb.DatabaseError(f"{CODES.get(state, 'ORA-00600')}: {message}")
