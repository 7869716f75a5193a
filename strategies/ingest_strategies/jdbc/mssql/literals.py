"""Values of an axis as SQL Server literals, each of exactly its column's type: with another type the server may convert the
column, which then has another order."""

import re

from ingest_strategies.jdbc.dialect import AxisColumn
from ingest_strategies.jdbc.mssql.catalog import text_literal
from ingest_strategies.jdbc.values.literals import require_form, require_utc_time

LOWEST: dict[str, int | str] = {
    "int": -(2**63),
    "float": "-1.7976931348623157e308",
    "uuid": "00000000-0000-0000-0000-000000000000",
    "date": "0001-01-01",
    "timestamp": "0001-01-01T00:00:00",
    "timestamptz": "0001-01-01T00:00:00",
}
LOWEST_BY_TYPE = {"datetime": "1753-01-01T00:00:00", "smalldatetime": "1900-01-01T00:00:00"}
ROWVERSION = "rowversion"
_NUMBER = re.compile(r"-?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?\Z", re.IGNORECASE)
_STAMP = re.compile(r"\d{4}-\d\d-\d\d([ T]\d\d:\d\d(:\d\d(\.\d{1,9})?)?)?(Z|\+00:?00)?\Z")


def literal(column: AxisColumn, value: int | str) -> str:
    """Raises `ConfigError` for text that is no value of the column."""
    match column.kind:
        case "int" if column.cast == ROWVERSION:
            return f"CAST(CAST({int(value)} AS bigint) AS binary(8))"
        case "int":  # a longer literal would be a decimal, and the server would convert the column
            return str(value) if abs(int(value)) < 2**31 else f"CAST({int(value)} AS bigint)"
        case "decimal":
            return f"CAST({require_form(column, str(value), _NUMBER)} AS {column.cast})"
        case "float":
            return f"CAST('{require_form(column, str(value), _NUMBER)}' AS float)"
        case "date" | "timestamp" | "timestamptz":
            return time_literal(column.cast, require_utc_time(column, str(value), _STAMP))
        case "uuid":
            return f"CAST({text_literal(str(value))} AS uniqueidentifier)"
        case "bytes":
            return f"0x{bytes.fromhex(str(value)).hex()}"
        case _:
            collation, _, form = column.cast.partition("|")
            return (
                f"CAST({text_literal(str(value))} COLLATE {collation} AS {form})" if form else text_literal(str(value))
            )


def lowest(column: AxisColumn) -> int | str:
    """Not above any value of the column."""
    if column.kind == "decimal":
        return lowest_decimal(column.cast)
    return LOWEST_BY_TYPE.get(column.cast, LOWEST.get(column.kind, ""))


def time_literal(kind: str, value: str) -> str:
    """ISO 8601 with a T has one meaning under every language and DATEFORMAT."""
    written = value.replace(" ", "T")
    if kind == "date":
        return f"CAST('{written[:10]}' AS date)"
    written += "T00:00:00" if len(written) == 10 else ":00" if written.count(":") == 1 else ""
    whole, _, fraction = written.partition(".")
    digits = 3 if kind in ("datetime", "smalldatetime") else 7
    written = f"{whole}.{fraction[:digits]}" if fraction else whole
    return f"CAST('{written}{'+00:00' if kind.startswith('datetimeoffset') else ''}' AS {kind})"


def lowest_decimal(kind: str) -> str:
    match = re.fullmatch(r"decimal\((\d+), (\d+)\)", kind)
    if match is None:
        return "-214748.3648" if kind == "smallmoney" else "-922337203685477.5808"
    digits, scale = int(match[1]), int(match[2])
    whole = "9" * (digits - scale) or "0"
    return f"-{whole}.{'9' * scale}" if scale else f"-{whole}"
