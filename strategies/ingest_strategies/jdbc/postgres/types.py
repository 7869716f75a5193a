"""PostgreSQL's types: the Arrow type of each, how it is selected, whether it orders an axis.

Facts behind the choices, all seen by running ADBC 1.13 against PostgreSQL 18: numeric arrives as text, and writing that text
costs more than all other work (`postgres.numeric` decodes the binary form instead, where the server has `numeric_send`); `infinity`
dates and timestamps wrap around; arrays of several dimensions are flattened; `time '24:00'` reads as 00:00; `oid`
arrives as int32. A value that this would change is selected as text instead, or checked after it was read.
"""

from dataclasses import dataclass

from ingest_ray.sdk.types import Fidelity
from ingest_strategies.jdbc.dialect import Kind


@dataclass(frozen=True)
class PgType:
    """One row of `pg_type`."""

    name: str
    schema: str
    sort: str
    """`typtype`: b base, c composite, d domain, e enum, r range, m multirange."""
    base: int = 0
    base_mod: int = -1
    element: int = 0
    is_array: bool = False
    send: str = ""
    """The function that writes the type's binary form."""


@dataclass(frozen=True)
class PostgresCarrier:
    """How one column travels. `select` names the form of its expression: the column itself, or a cast that keeps it exact."""

    arrow: str
    select: str = ""
    logical: str | None = None
    fidelity: Fidelity = Fidelity.EXACT
    note: str | None = None


_SAME = {
    "int2": "int16",
    "int4": "int32",
    "int8": "int64",
    "float4": "float32",
    "float8": "float64",
    "bool": "bool",
    "text": "string",
    "varchar": "string",
    "bpchar": "string",
    "name": "string",
    "bytea": "binary",
    "date": "date32",
    "time": "time64[us]",
    "timestamp": "timestamp[us]",
    "timestamptz": "timestamp[us, UTC]",
}
_NOTES = {
    "date": "infinity goes to quarantine",
    "timestamp": "infinity goes to quarantine",
    "timestamptz": "infinity goes to quarantine",
    "time": "24:00 goes to quarantine",
}
_AS_TEXT = {
    "uuid": "uuid",
    "json": "json",
    "jsonb": "json",
    "interval": "interval",
    "xml": "xml",
    "cidr": "cidr",
    "macaddr": "macaddr",
    "macaddr8": "macaddr8",
    "bit": "bits",
    "varbit": "bits",
    "timetz": "timetz",
    "pg_lsn": "pg_lsn",
    "char": None,
    "citext": None,
}
_WIDENED = frozenset({"tsvector", "tsquery", "jsonpath", "txid_snapshot", "pg_snapshot", "hstore", "ltree", "record"})
_GEOMETRY = frozenset({"point", "line", "lseg", "box", "path", "polygon", "circle", "geometry", "geography", "raster"})
_TEXT_NOTES = {"interval": "ISO 8601: months, days and seconds stay apart", "timetz": "exact text with its offset"}

_KINDS: dict[str, tuple[Kind, str]] = {
    "int2": ("int", "bigint"),
    "int4": ("int", "bigint"),
    "int8": ("int", "bigint"),
    "numeric": ("decimal", "numeric"),
    "float4": ("float", "real"),
    "float8": ("float", "double precision"),
    "text": ("text", "text"),
    "varchar": ("text", "text"),
    "bpchar": ("text", "bpchar"),
    "uuid": ("uuid", "uuid"),
    "date": ("date", "date"),
    "timestamp": ("timestamp", "timestamp without time zone"),
    "timestamptz": ("timestamptz", "timestamp with time zone"),
    "bytea": ("bytes", "bytea"),
}


def base_type(types: dict[int, PgType], oid: int, mod: int) -> tuple[PgType, int]:
    """The type under a domain, with the length or precision that applies."""
    kind = types[oid]
    while kind.sort == "d":
        mod = kind.base_mod if mod == -1 else mod
        kind = types[kind.base]
    return kind, mod


def axis_kind(types: dict[int, PgType], oid: int, mod: int, type_text: str) -> tuple[Kind, str] | None:
    """The kind and the type of literals where the type orders an axis: only types whose order is built in."""
    kind, _ = base_type(types, oid, mod)
    if kind.sort == "e":
        return ("enum", type_text if types[oid].sort == "e" else f"{kind.schema}.{kind.name}")
    return _KINDS.get(kind.name) if kind.schema == "pg_catalog" else None


def carrier_of(types: dict[int, PgType], oid: int, mod: int, dimensions: int) -> PostgresCarrier:
    """How a column of this type travels; REFUSED for a type without an exact form."""
    kind, mod = base_type(types, oid, mod)
    if kind.is_array:
        return _array(types, kind, mod, dimensions)
    if kind.sort == "e":
        return PostgresCarrier("string", "text", "enum")
    if kind.sort == "c":
        return PostgresCarrier(
            "string", "text", "composite", Fidelity.WIDENED, "a composite value as PostgreSQL writes it"
        )
    if kind.sort in "rm":
        return PostgresCarrier("string", "text", "range", Fidelity.WIDENED, "a range as PostgreSQL writes it")
    if kind.name in _SAME and kind.schema == "pg_catalog":
        return PostgresCarrier(_SAME[kind.name], note=_NOTES.get(kind.name))
    if kind.name == "numeric":
        return _numeric(mod, kind.send)
    if kind.name == "money":
        note = "the amount as exact decimal text, without the currency of lc_monetary"
        return PostgresCarrier("string", "money", "decimal", Fidelity.WIDENED, note)
    if kind.name in ("oid", "xid", "cid"):
        return PostgresCarrier("int64", "unsigned" if kind.name != "oid" else "bigint")
    if kind.name == "inet":
        return PostgresCarrier(
            "string", "shown", "inet", note="as PostgreSQL writes it: a mask only where it is not the whole address"
        )
    if kind.name in _AS_TEXT:
        return PostgresCarrier("string", "text", _AS_TEXT[kind.name], note=_TEXT_NOTES.get(kind.name))
    if kind.name in _WIDENED:
        return PostgresCarrier("string", "text", kind.name, Fidelity.WIDENED, "as PostgreSQL writes it")
    if kind.name in _GEOMETRY:
        return _refused(f"geometry ('{kind.name}') is not read: select it as text in a view")
    return _refused(f"type '{kind.name}' is not known: select it as text in a view")


_SPELLINGS = {
    "interval": "'1 day' equals '24:00:00'",
    "float4": "-0 equals 0",
    "float8": "-0 equals 0",
    "citext": "letters equal in either case",
    "jsonb": "1.0 equals 1.00 inside of it",
}


def second_spelling(types: dict[int, PgType], oid: int, mod: int, *, is_deterministic: bool) -> str | None:
    """Why two values of the type can be equal for PostgreSQL and differ as they travel; None where they cannot.

    https://www.postgresql.org/docs/current/collation.html#COLLATION-NONDETERMINISTIC
    """
    kind, mod = base_type(types, oid, mod)
    if not is_deterministic:
        return "its collation is not deterministic: equal texts can differ"
    if kind.is_array:
        return second_spelling(types, kind.element, mod, is_deterministic=True)
    if kind.sort in "crm":
        return "its parts can be equal in several spellings"
    if kind.name == "numeric" and numeric_size(mod) is None:
        return "1.0 equals 1.00"
    if kind.name == "bpchar" and mod == -1:
        return "blanks at the end count for nothing"
    return _SPELLINGS.get(kind.name)


def _refused(note: str) -> PostgresCarrier:
    return PostgresCarrier("null", fidelity=Fidelity.REFUSED, note=note)


def numeric_size(mod: int) -> tuple[int, int] | None:
    """Precision and scale, from `numeric_in`'s type modifier; the scale may be negative since PostgreSQL 15."""
    if mod < 4:
        return None
    packed = mod - 4
    return (packed >> 16) & 0xFFFF, ((packed & 0x7FF) ^ 1024) - 1024


def decimal_type(precision: int, scale: int) -> str | None:
    """Arrow's decimal that holds every `numeric(precision, scale)`; None beyond 76 digits."""
    digits, fraction_digits = (precision - scale, 0) if scale < 0 else (max(precision, scale), scale)
    if digits > 76:
        return None
    return f"decimal{128 if digits <= 38 else 256}({digits}, {fraction_digits})"


def _numeric(mod: int, send: str) -> PostgresCarrier:
    size = numeric_size(mod)
    arrow = decimal_type(*size) if size else None
    if arrow is None:
        reason = "beyond 76 digits" if size else "without precision"
        return PostgresCarrier(
            "string", "text", "decimal", note=f"numeric {reason}: exact text, NaN and Infinity included"
        )
    if send == "numeric_send" and arrow.startswith("decimal128") and size is not None and size[1] >= 0:
        return PostgresCarrier(arrow, "sent", note="NaN goes to quarantine; decoded from its binary form")
    return PostgresCarrier(arrow, note="NaN goes to quarantine")


def _array(types: dict[int, PgType], kind: PgType, mod: int, dimensions: int) -> PostgresCarrier:
    if dimensions > 1:
        note = "an array of several dimensions as PostgreSQL writes it"
        return PostgresCarrier("string", "text", "array", Fidelity.WIDENED, note)
    item = carrier_of(types, kind.element, mod, 0)
    if item.fidelity is Fidelity.REFUSED:
        return item
    element, _ = base_type(types, kind.element, mod)
    is_same = element.name in _SAME and element.schema == "pg_catalog" and not element.is_array
    if element.name == "money" or item.select in ("bigint", "unsigned"):
        return PostgresCarrier("string", "text", "array", Fidelity.WIDENED, "an array as PostgreSQL writes it")
    note = "a value of several dimensions, or that does not begin at index 1, goes to quarantine"
    form = "list" if is_same else "shown list" if item.select == "shown" else "text list"
    return PostgresCarrier(f"list<{item.arrow}>", form, item.logical, item.fidelity, note)
