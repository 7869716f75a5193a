"""SQLite's declared types: the Arrow type of each, the expression that reads it, the test of values that do not fit.

SQLite does not enforce a column's declared type (https://www.sqlite.org/datatype3.html): any row may hold any type. So
every column has a test in SQL on the storage class, and rows that fail it go to quarantine with SQLite's own literals.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass

from ingest_ray.sdk.types import Column, Dataset, Fidelity
from ingest_strategies.jdbc.dialect import Kind

_SIZE = re.compile(r"\(\s*(\d+)\s*(?:,\s*(\d+)\s*)?\)")


@dataclass(frozen=True)
class SqliteCarrier:
    """How one declared type travels. `value` is the expression that reads it, `fits` its test; both over `{0}`. `wire`
    is a literal of the expression's type."""

    arrow: str
    wire: str
    value: str
    fits: str
    kind: Kind
    logical: str | None = None
    fidelity: Fidelity = Fidelity.EXACT
    note: str | None = None


INT = SqliteCarrier("int64", "0", "{0}", "typeof({0}) IN ('integer', 'null')", "int")
REAL = SqliteCarrier("float64", "0.0", "{0}", "typeof({0}) IN ('real', 'null')", "float")
# Numbers of a column that SQLite takes for one of integers: it stores 2.0 as the integer 2.
MIXED_REAL = SqliteCarrier(
    "float64",
    "0.0",
    "CAST({0} AS REAL)",
    "(typeof({0}) IN ('real', 'null') OR (typeof({0}) = 'integer' AND abs({0}) <= 9007199254740992))",
    "float",
)
TEXT = SqliteCarrier("string", "''", "{0}", "typeof({0}) IN ('text', 'null')", "text")
BLOB = SqliteCarrier("binary", "x''", "{0}", "typeof({0}) IN ('blob', 'null')", "bytes")
BOOL = SqliteCarrier(
    "bool",
    "0",
    "CASE lower({0}) WHEN 'true' THEN 1 WHEN 'false' THEN 0 ELSE {0} END",
    "({0} IS NULL OR ({0} IN (0, 1) AND typeof({0}) = 'integer') OR (typeof({0}) = 'text' AND lower({0}) IN ('true', 'false')))",
    "int",
)
# The shortest text that reads back as the same double.
_NUMBER = (
    "CASE WHEN CAST(printf('%.15g', {0}) AS REAL) = {0} THEN printf('%.15g', {0})"
    " WHEN CAST(printf('%!.16g', {0}) AS REAL) = {0} THEN printf('%!.16g', {0}) ELSE printf('%!.17g', {0}) END"
)
_ANY = f"CASE typeof({{0}}) WHEN 'integer' THEN CAST({{0}} AS TEXT) WHEN 'real' THEN {_NUMBER} ELSE {{0}} END"
ANY = SqliteCarrier(
    "string",
    "''",
    _ANY,
    "typeof({0}) <> 'blob'",
    "other",
    "any",
    Fidelity.WIDENED,
    "no declared type: numbers become their exact text; a blob goes to quarantine",
)
JSON = SqliteCarrier("string", "''", _ANY, "typeof({0}) <> 'blob'", "other", "json")
UUID = SqliteCarrier("string", "''", "{0}", "typeof({0}) IN ('text', 'null')", "text", "uuid")
FREE_DECIMAL = SqliteCarrier(
    "string", "''", _ANY, "typeof({0}) IN ('integer', 'real', 'null')", "decimal", "decimal", note="exact decimal text"
)
_TIME_VALUE = "CASE typeof({0}) WHEN 'integer' THEN CAST({0} AS TEXT) ELSE {0} END"
_TIME_FITS = "typeof({0}) IN ('text', 'integer', 'null')"
STAMP_NOTE = "text as ISO 8601, UTC where it has a zone; integers as 'integer_time' of the endpoint, or as a sample shows; else quarantine"
STAMP = SqliteCarrier("timestamp[us]", "''", _TIME_VALUE, _TIME_FITS, "timestamp", note=STAMP_NOTE)
DATE = SqliteCarrier(
    "date32", "''", _TIME_VALUE, _TIME_FITS, "date", note="text as ISO 8601; a time of day goes to quarantine"
)
TIME = SqliteCarrier(
    "time64[us]", "''", "{0}", "typeof({0}) IN ('text', 'null')", "text", note="text as ISO 8601; else quarantine"
)


def decimal(precision: int, scale: int) -> SqliteCarrier:
    """DECIMAL(p, s): SQLite stores it as an integer or a double. A double counts as the decimal that it was rounded from,
    when rounding to `scale` places leads back to the same double; any other goes to quarantine."""
    rounded = f"printf('%.{scale}f', {{0}})"
    value = f"CASE typeof({{0}}) WHEN 'integer' THEN CAST({{0}} AS TEXT) WHEN 'real' THEN {rounded} ELSE {{0}} END"
    fits = f"(typeof({{0}}) IN ('integer', 'null') OR (typeof({{0}}) = 'real' AND CAST({rounded} AS REAL) = {{0}}))"
    width = 128 if precision <= 38 else 256
    note = "SQLite keeps it as a double or an integer; what has more places goes to quarantine"
    return SqliteCarrier(f"decimal{width}({precision}, {scale})", "''", value, fits, "decimal", note=note)


_RULES: list[tuple[Callable[[str], bool], SqliteCarrier]] = [
    (lambda t: "BOOL" in t, BOOL),
    (lambda t: t.startswith(("DATETIME", "TIMESTAMP")), STAMP),
    (lambda t: t == "DATE", DATE),
    (lambda t: t.startswith("TIME"), TIME),
    (lambda t: t == "JSON", JSON),
    (lambda t: t in ("UUID", "GUID", "UNIQUEIDENTIFIER"), UUID),
    # From here on: SQLite's own rules of affinity, in SQLite's order.
    (lambda t: "INT" in t, INT),
    (lambda t: any(word in t for word in ("CHAR", "CLOB", "TEXT")), TEXT),
    (lambda t: "BLOB" in t, BLOB),
    (lambda t: t in ("", "ANY"), ANY),
    (lambda t: any(word in t for word in ("REAL", "FLOA", "DOUB")), REAL),
]


MIXED = "REAL OR INTEGER"
# The words of the types that SQLite's documentation and other databases have: their columns hold what they say, and
# what does not fit is a misfit. https://www.sqlite.org/datatype3.html#affinity_name_examples
_KNOWN_WORDS = frozenset(
    [
        "INT",
        "INTEGER",
        "TINYINT",
        "SMALLINT",
        "MEDIUMINT",
        "BIGINT",
        "INT2",
        "INT3",
        "INT4",
        "INT8",
        "INT16",
        "INT32",
        "INT64",
        "UINT",
        "UINT8",
        "UINT16",
        "UINT32",
        "UINT64",
        "UNSIGNED",
        "SIGNED",
        "BIG",
        "SMALL",
        "TINY",
        "LONG",
        "ZEROFILL",
        "AUTOINCREMENT",
        "IDENTITY",
        "CHARACTER",
        "CHAR",
        "VARCHAR",
        "VARCHAR2",
        "NVARCHAR",
        "NVARCHAR2",
        "NCHAR",
        "VARYING",
        "VARYINGCHARACTER",
        "NATIVE",
        "NATIONAL",
        "TEXT",
        "NTEXT",
        "TINYTEXT",
        "MEDIUMTEXT",
        "LONGTEXT",
        "CITEXT",
        "STRING",
        "CLOB",
        "NCLOB",
        "BLOB",
        "TINYBLOB",
        "MEDIUMBLOB",
        "LONGBLOB",
        "REAL",
        "DOUBLE",
        "PRECISION",
        "FLOAT",
        "FLOAT4",
        "FLOAT8",
        "BOOL",
        "BOOLEAN",
        "DATE",
        "DATETIME",
        "DATETIME2",
        "TIMESTAMP",
        "TIMESTAMPTZ",
        "TIME",
        "TIMETZ",
        "WITH",
        "WITHOUT",
        "ZONE",
        "LOCAL",
        "JSON",
        "UUID",
        "GUID",
        "UNIQUEIDENTIFIER",
        "DECIMAL",
        "NUMERIC",
        "NUMBER",
        "DEC",
        "ANY",
    ]
)


def is_unusual(declared: str) -> bool:
    """Whether a declared type has a word that no database knows as a type: `POINT` has an INT in it, and holds no integers."""
    words = re.findall(r"[A-Z0-9_]+", re.sub(r"\(.*?\)", " ", declared.upper()))
    return any(word not in _KNOWN_WORDS for word in words)


def sampled_type(declared: str, classes: frozenset[str]) -> str:
    """The type that the storage classes of a sample of a column show; the declared one where it fits any of them."""
    if carrier_of(declared).logical == "any":
        return "BLOB" if classes == {"blob"} else declared
    numbers = classes <= {"integer", "real"}
    if not classes:
        return "ANY"
    if numbers and ("real" in classes or re.search("REAL|FLOA|DOUB", declared.upper())):
        return MIXED
    single = {"integer": "INTEGER", "text": "TEXT", "blob": "BLOB"}
    return single[next(iter(classes))] if len(classes) == 1 else "ANY"


def effective_type(dataset: Dataset, column: Column) -> str:
    """The declared type, or the one that a person or a sample put in its place."""
    types = dataset.facts.get("types")
    return str(types.get(column.name, column.source_type)) if isinstance(types, dict) else column.source_type


def carrier_of(declared: str) -> SqliteCarrier:
    """The carrier by the first rule that matches a declared type."""
    if declared == MIXED:
        return MIXED_REAL
    text = declared.strip().upper()
    size = _SIZE.search(text)
    name = text.split("(")[0].strip()
    if name.startswith(("DECIMAL", "NUMERIC", "NUMBER", "DEC")):
        precision, scale = (int(size[1]), int(size[2] or 0)) if size else (0, 0)
        return decimal(precision, scale) if 0 < precision <= 76 and scale <= precision else FREE_DECIMAL
    carrier = next((rule for matches, rule in _RULES if matches(name)), None)
    return carrier or SqliteCarrier(**{**vars(ANY), "note": f"'{declared}' is no type that SQLite knows: {ANY.note}"})
