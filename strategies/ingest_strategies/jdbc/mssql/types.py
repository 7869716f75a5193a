"""SQL Server's types: the Arrow type of each, how it is selected, whether it orders an axis.

https://learn.microsoft.com/en-us/sql/t-sql/data-types/data-types-transact-sql. Numbers with a point and times are selected
as the server's own text: style 3 writes a float in full digits, 2 money with all four, 121 a time with all of its own
(https://learn.microsoft.com/en-us/sql/t-sql/functions/cast-and-convert-transact-sql).
"""

from ingest_ray.sdk.types import Fidelity
from ingest_strategies.jdbc.values.column_carriers import ColumnCarrier, refused

_INTS = {"tinyint": "uint8", "smallint": "int16", "int": "int32", "bigint": "int64"}
_TEXTS = frozenset({"char", "varchar", "nchar", "nvarchar"})
_LONG = -1  # max_length of varchar(max)
_SPATIAL = frozenset({"geometry", "geography", "hierarchyid"})
_CUT = "the moment is cut to microseconds; "


def type_text(name: str, length: int, precision: int, scale: int) -> str:
    """The type as CREATE TABLE writes it; `length` in bytes, as sys.columns has it."""
    if name in ("decimal", "numeric"):
        return f"{name}({precision},{scale})"
    if name in ("time", "datetime2", "datetimeoffset"):
        return f"{name}({scale})"
    if name in _TEXTS or name in ("binary", "varbinary"):
        width = length // 2 if name.startswith("n") else length
        return f"{name}({'max' if length == _LONG else width})"
    return "rowversion" if name == "timestamp" else name


def carrier_of(name: str, length: int, precision: int, scale: int, collation: str | None) -> ColumnCarrier:
    """`name` is the server's own type, also where the column has a user-defined alias of it."""
    if name in _INTS:
        return ColumnCarrier(_INTS[name], "int", cast=name)
    if name in ("decimal", "numeric"):
        return ColumnCarrier(
            f"decimal128({precision}, {scale})",
            "decimal",
            "CONVERT(varchar(60), {0})",
            cast=f"decimal({precision}, {scale})",
        )
    if name in ("money", "smallmoney"):
        digits = 19 if name == "money" else 10
        return ColumnCarrier(f"decimal128({digits}, 4)", "decimal", "CONVERT(varchar(60), {0}, 2)", cast=name)
    if name in ("float", "real"):
        width = "float64" if name == "float" else "float32"
        return ColumnCarrier(width, "float", "CONVERT(varchar(60), {0}, 3)", cast=name)
    if name in _TEXTS:
        return ColumnCarrier("string", "other" if length == _LONG else "text", cast=text_cast(name, collation))
    if name in _SPATIAL:
        return refused(f"'{name}' is not read: select it as text in a view ({{column}}.ToString())")
    return (
        _moment(name, scale) or _OTHERS.get(name) or refused(f"type '{name}' is not read: select it as text in a view")
    )


def text_cast(name: str, collation: str | None) -> str:
    """The cast of a literal, as `collation|type`; empty for Unicode text, whose literals need no cast."""
    return "" if name.startswith("n") else f"{collation}|varchar(8000)"


def _moment(name: str, scale: int) -> ColumnCarrier | None:
    match name:
        case "date":
            return ColumnCarrier("date32", "date", "CONVERT(char(10), {0}, 23)", cast=name)
        case "datetime" | "smalldatetime":
            return ColumnCarrier("timestamp[us]", "timestamp", "CONVERT(char(23), {0}, 121)", cast=name)
        case "datetime2" if scale <= 6:
            return ColumnCarrier(
                "timestamp[us]", "timestamp", "CONVERT(varchar(27), {0}, 121)", cast=f"datetime2({scale})"
            )
        case "datetime2":
            note = "exact text with 7 digits of a second, which orders as the times do"
            return ColumnCarrier(
                "string",
                "timestamp",
                "CONVERT(varchar(27), {0}, 121)",
                "timestamp",
                Fidelity.WIDENED,
                note,
                "datetime2(7)",
            )
        case "datetimeoffset":
            utc = f"CAST(SWITCHOFFSET({{0}}, '+00:00') AS datetime2({scale}))"
            note = f"{_CUT if scale > 6 else ''}the offset that it was written with is not kept"
            return ColumnCarrier(
                "timestamp[us, UTC]", "timestamptz", f"LEFT(CONVERT(varchar(27), {utc}, 121), 26)", None,
                Fidelity.LOSSY, note, f"datetimeoffset({scale})",
            )  # fmt: skip
        case "time" if scale <= 6:
            return ColumnCarrier("time64[us]", "other", "CONVERT(varchar(16), {0}, 121)")
        case "time":
            note = "exact text with 7 digits of a second"
            return ColumnCarrier("string", "other", "CONVERT(varchar(16), {0}, 121)", "time", Fidelity.WIDENED, note)
    return None


_OTHERS = {
    "bit": ColumnCarrier("bool"),
    "text": ColumnCarrier("string"),
    "ntext": ColumnCarrier("string"),
    "xml": ColumnCarrier(
        "string", select="CONVERT(nvarchar(max), {0})", logical="xml", fidelity=Fidelity.WIDENED,
        note="as the server spells it",
    ),
    "json": ColumnCarrier(
        "string", select="CONVERT(nvarchar(max), {0})", logical="json", fidelity=Fidelity.WIDENED,
        note="as the server spells it",
    ),
    "uniqueidentifier": ColumnCarrier("string", "uuid", "LOWER(CONVERT(char(36), {0}))", "uuid", cast="uniqueidentifier"),
    "binary": ColumnCarrier("binary", "bytes"),
    "varbinary": ColumnCarrier("binary", "bytes"),
    "image": ColumnCarrier("binary"),
    "timestamp": ColumnCarrier("int64", "int", "CONVERT(bigint, {0})", "rowversion", note="a rowversion as its number", cast="rowversion"),
}  # fmt: skip
