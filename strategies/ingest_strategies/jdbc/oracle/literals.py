"""Values of an axis as Oracle literals, each of exactly its column's type: with another type the server would convert the
column, not the literal."""

import re

from ingest_strategies.jdbc.dialect import AxisColumn
from ingest_strategies.jdbc.oracle.types import STAMP
from ingest_strategies.jdbc.standard_sql import quoted_text
from ingest_strategies.jdbc.values.literals import require_form, require_utc_time

LOWEST: dict[str, int | str] = {
    "int": -(2**63),
    "decimal": "-9.9e125",
    "float": "-Inf",
    "date": "-4712-01-01T00:00:00",
    "timestamp": "-4712-01-01T00:00:00",
    "timestamptz": "-4712-01-01T00:00:00",
}
_NUMBER = re.compile(r"-?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?\Z", re.IGNORECASE)
_FLOAT = re.compile(r"(-?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?|-?Inf|Nan)\Z", re.IGNORECASE)
_STAMP = re.compile(r"-?\d{4}-\d\d-\d\d([ T]\d\d:\d\d(:\d\d(\.\d{1,9})?)?)?(Z|\+00:?00)?\Z")
_PLAIN = re.compile(r"[ -~]+\Z")


def literal(column: AxisColumn, value: int | str) -> str:
    """Raises `ConfigError` for text that is no value of the column."""
    match column.kind:
        case "int":
            return str(int(value))
        case "decimal":
            return require_form(column, str(value), _NUMBER)
        case "float":
            return f"TO_BINARY_DOUBLE('{require_form(column, str(value), _FLOAT)}')"
        case "date" | "timestamp" | "timestamptz":
            return time_literal(column.cast, require_utc_time(column, str(value), _STAMP))
        case "bytes":
            return f"HEXTORAW('{bytes.fromhex(str(value)).hex()}')"
        case _:
            return text_literal(str(value), is_national=column.cast.startswith("N"))


def time_literal(kind: str, value: str) -> str:
    written = value.replace(" ", "T")
    written += "T00:00:00" if "T" not in written else ":00" if written.count(":") == 1 else ""
    # A blank instead of a sign, as Oracle itself writes it.
    written = written if written.startswith("-") else f" {written}"
    if kind == "DATE":
        whole = written.partition(".")[0]
        return f"TO_DATE('{whole}', '{STAMP}')"
    plain = f"TO_TIMESTAMP('{written if '.' in written else f'{written}.0'}', '{STAMP}.FF9')"
    if kind == "TIMESTAMP":
        return plain
    zoned = f"FROM_TZ({plain}, '+00:00')"
    return zoned if kind == "TIMESTAMP WITH TIME ZONE" else f"CAST({zoned} AS {kind})"


def text_literal(value: str, *, is_national: bool) -> str:
    """Text as a literal of the column's own character set: comparing with another one would convert the column."""
    if _PLAIN.match(value):
        return f"{'N' if is_national else ''}{quoted_text(value)}"
    units = (value or "\0").encode("utf-16-be").hex()  # '' is NULL in Oracle; nothing is below the character zero
    escaped = "".join(f"\\{units[start : start + 4]}" for start in range(0, len(units), 4))
    return f"UNISTR('{escaped}')" if is_national else f"TO_CHAR(UNISTR('{escaped}'))"
