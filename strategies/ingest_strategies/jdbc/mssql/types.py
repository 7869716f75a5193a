"""SQL Server's types: what each becomes in Arrow, how it is selected, whether it orders an axis.

https://learn.microsoft.com/en-us/sql/t-sql/data-types/data-types-transact-sql. Numbers with a point and times are selected
as the server's own text: style 3 writes a float in full digits, 2 money with all four, 121 a time with all of its own
(https://learn.microsoft.com/en-us/sql/t-sql/functions/cast-and-convert-transact-sql).
"""

from ingest_ray.sdk.types import Fidelity
from ingest_strategies.jdbc.values.column_carriers import Carried, refused

_INTS = {"tinyint": "uint8", "smallint": "int16", "int": "int32", "bigint": "int64"}
_TEXTS = frozenset({"char", "varchar", "nchar", "nvarchar"})
_LONG = -1  # max_length of varchar(max)
_SPATIAL = frozenset({"geometry", "geography", "hierarchyid"})
_CUT = "the moment is cut to microseconds; "


def type_text(name: str, length: int, precision: int, scale: int) -> str:
    """The type as a CREATE TABLE says it; `length` in bytes, as sys.columns has it."""
    if name in ("decimal", "numeric"):
        return f"{name}({precision},{scale})"
    if name in ("time", "datetime2", "datetimeoffset"):
        return f"{name}({scale})"
    if name in _TEXTS or name in ("binary", "varbinary"):
        width = length // 2 if name.startswith("n") else length
        return f"{name}({'max' if length == _LONG else width})"
    return "rowversion" if name == "timestamp" else name


def carried(name: str, length: int, precision: int, scale: int, collation: str | None) -> Carried:
    """`name` is the server's own type, also under a name that somebody gave it."""
    if name in _INTS:
        return Carried(_INTS[name], "int", cast=name)
    if name in ("decimal", "numeric"):
        return Carried(
            f"decimal128({precision}, {scale})",
            "decimal",
            "CONVERT(varchar(60), {0})",
            cast=f"decimal({precision}, {scale})",
        )
    if name in ("money", "smallmoney"):
        digits = 19 if name == "money" else 10
        return Carried(f"decimal128({digits}, 4)", "decimal", "CONVERT(varchar(60), {0}, 2)", cast=name)
    if name in ("float", "real"):
        width = "float64" if name == "float" else "float32"
        return Carried(width, "float", "CONVERT(varchar(60), {0}, 3)", cast=name)
    if name in _TEXTS:
        return Carried("string", "other" if length == _LONG else "text", cast=text_cast(name, collation))
    if name in _SPATIAL:
        return refused(f"'{name}' is not read: select it as text in a view ({{column}}.ToString())")
    return (
        _moment(name, scale) or _OTHERS.get(name) or refused(f"type '{name}' is not read: select it as text in a view")
    )


def text_cast(name: str, collation: str | None) -> str:
    """What a literal is cast to, as `collation|type`; empty for text of Unicode, whose literals need no cast."""
    return "" if name.startswith("n") else f"{collation}|varchar(8000)"


def _moment(name: str, scale: int) -> Carried | None:
    match name:
        case "date":
            return Carried("date32", "date", "CONVERT(char(10), {0}, 23)", cast=name)
        case "datetime" | "smalldatetime":
            return Carried("timestamp[us]", "timestamp", "CONVERT(char(23), {0}, 121)", cast=name)
        case "datetime2" if scale <= 6:
            return Carried("timestamp[us]", "timestamp", "CONVERT(varchar(27), {0}, 121)", cast=f"datetime2({scale})")
        case "datetime2":
            note = "exact text with 7 digits of a second, which orders as the times do"
            return Carried(
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
            return Carried(
                "timestamp[us, UTC]", "timestamptz", f"LEFT(CONVERT(varchar(27), {utc}, 121), 26)", None,
                Fidelity.LOSSY, note, f"datetimeoffset({scale})",
            )  # fmt: skip
        case "time" if scale <= 6:
            return Carried("time64[us]", "other", "CONVERT(varchar(16), {0}, 121)")
        case "time":
            note = "exact text with 7 digits of a second"
            return Carried("string", "other", "CONVERT(varchar(16), {0}, 121)", "time", Fidelity.WIDENED, note)
    return None


_OTHERS = {
    "bit": Carried("bool"),
    "text": Carried("string"),
    "ntext": Carried("string"),
    "xml": Carried(
        "string", select="CONVERT(nvarchar(max), {0})", logical="xml", fidelity=Fidelity.WIDENED,
        note="as the server spells it",
    ),
    "json": Carried(
        "string", select="CONVERT(nvarchar(max), {0})", logical="json", fidelity=Fidelity.WIDENED,
        note="as the server spells it",
    ),
    "uniqueidentifier": Carried("string", "uuid", "LOWER(CONVERT(char(36), {0}))", "uuid", cast="uniqueidentifier"),
    "binary": Carried("binary", "bytes"),
    "varbinary": Carried("binary", "bytes"),
    "image": Carried("binary"),
    "timestamp": Carried("int64", "int", "CONVERT(bigint, {0})", "rowversion", note="a rowversion as its number", cast="rowversion"),
}  # fmt: skip
