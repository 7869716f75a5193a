"""MySQL's and MariaDB's types: the Arrow type of each, how it is selected, whether it orders an axis.

Facts behind the choices, seen by running MariaDB 10.11: the text protocol rounds FLOAT to six digits, so floats are
multiplied by `1e0`, which is a double in full digits; TIME goes from -838:59:59 to 838:59:59
(https://mariadb.com/kb/en/time/); BIT arrives as raw bytes; BOOLEAN is TINYINT(1), and holds any small number.
"""

import re

from ingest_strategies.jdbc.values.column_carriers import ColumnCarrier, refused

_INTS = {"tinyint": 8, "smallint": 16, "mediumint": 32, "int": 32, "bigint": 64}
_TEXTS = frozenset({"char", "varchar", "tinytext", "text", "mediumtext", "longtext"})
_BYTES = frozenset({"binary", "varbinary", "tinyblob", "blob", "mediumblob", "longblob"})
_GEOMETRY = frozenset(
    {
        "geometry", "point", "linestring", "polygon", "multipoint", "multilinestring", "multipolygon",
        "geometrycollection", "geomcollection",
    }
)  # fmt: skip
_ADDRESSES = frozenset({"inet4", "inet6"})
_SIZE = re.compile(r"\((\d+)(?:,(\d+))?\)")
ZERO = "a zero date ('0000-00-00', or a month or day of 00) goes to quarantine"
LONE_BOOL = "a number, not a truth value: 'boolean' is another name of it and holds -128 to 127"
_TIME_NOTE = "exact text: a span from -838:59:59 to 838:59:59, not a time of day"
_STAMPS: dict[str, ColumnCarrier] = {
    "date": ColumnCarrier("date32", "date", note=ZERO),
    "datetime": ColumnCarrier("timestamp[us]", "timestamp", note=f"without a zone, as stored; {ZERO}"),
    "timestamp": ColumnCarrier("timestamp[us, UTC]", "timestamptz", note=ZERO),
    "time": ColumnCarrier("string", logical="interval", note=_TIME_NOTE),
    "year": ColumnCarrier("int16", "int"),
}


def carrier_of(name: str, type_text: str, charset: str | None, *, is_json: bool = False) -> ColumnCarrier:
    """`name` is DATA_TYPE, `type_text` COLUMN_TYPE of the information schema; REFUSED for a type without an exact form."""
    if name in _INTS:
        is_unsigned = "unsigned" in type_text
        note = LONE_BOOL if type_text.startswith("tinyint(1)") else None
        return ColumnCarrier(f"{'u' if is_unsigned else ''}int{_INTS[name]}", "int", note=note)
    if name == "decimal":
        return _decimal(type_text)
    if name in ("float", "double"):
        return ColumnCarrier("float32" if name == "float" else "float64", "float", "{0} * 1e0")
    if name in _STAMPS:
        return _STAMPS[name]
    if name == "json" or is_json:
        return ColumnCarrier("string", logical="json")
    if name in _TEXTS:
        return ColumnCarrier("string", "text") if charset != "binary" else ColumnCarrier("binary", "bytes")
    if name in _BYTES:
        return ColumnCarrier("binary", "bytes")
    if name == "bit":
        return ColumnCarrier("uint64", "int", "{0} + 0", "bits", note="the bits as a number")
    if name in ("enum", "set"):
        return ColumnCarrier("string", "enum" if name == "enum" else "other", logical=name)
    if name == "uuid":
        return ColumnCarrier("string", "uuid", logical="uuid")
    if name in _ADDRESSES:
        return ColumnCarrier("string", logical="inet")
    if name in _GEOMETRY:
        return refused(f"geometry ('{name}') is not read: select it as text in a view")
    return refused(f"type '{name}' is not known: select it as text in a view")


def prepared_form(name: str, carrier: ColumnCarrier) -> str:
    """How a column is selected where values travel in binary form: floats in all their bits, spans of time as their text."""
    if name in ("float", "double"):
        return "{0}"
    return "CAST({0} AS CHAR)" if name == "time" else carrier.select


def second_spelling(name: str, collation: str | None) -> str | None:
    """Why two values of a column can be equal for the server and differ as they travel; None where they cannot.

    https://mariadb.com/kb/en/supported-character-sets-and-collations/; of equal texts the server keeps the one written last.
    """
    if name in ("float", "double"):
        return "-0 equals 0"
    if name not in _TEXTS or collation is None or collation == "binary":
        return None
    if not collation.endswith("_bin"):
        return f"collation '{collation}' holds texts equal that differ, such as in case"
    is_padded = not ("nopad" in collation or "_0900_" in collation)
    return f"collation '{collation}' ignores blanks at the end" if is_padded and name != "char" else None


def _decimal(type_text: str) -> ColumnCarrier:
    size = _SIZE.search(type_text)
    precision, scale = (int(size[1]), int(size[2] or 0)) if size else (10, 0)
    return ColumnCarrier(f"decimal{128 if precision <= 38 else 256}({precision}, {scale})", "decimal")
