"""Replaces the values of masked columns.

`hmac` hashes one text form per value, so that equal values of different types have one mask: `42` of an integer, a decimal and a
text; a date and a timestamp at midnight; a padded `char` and a `varchar`; a uuid in either case. Nothing else is folded: texts differ
in case and in blanks.
"""

import re
from collections.abc import Callable, Mapping
from datetime import date, datetime
from functools import cached_property
from importlib import import_module
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute as pc

from ingest_ray.engine.masking.masked_dataset import REDACTED, is_bytes, is_text
from ingest_ray.sdk.dataset_schema import LOGICAL, SOURCE_TYPE
from ingest_ray.sinks.value_conversion import convert

if TYPE_CHECKING:
    from ingest_ray.engine.masking.keyed_hash import KeyedHash

HIDDEN_DIGITS = "****"
SHORTEST_SHOWN = 8  # characters; of a shorter value, the last four would show most of it
_PADDED = re.compile(rb"(n?char|character|bpchar)\s*(\(|$)", re.IGNORECASE)
_YEAR = r"^\s*(?P<year>\d{4})-\d\d"


class Masker:
    """Masks columns of a unit. `read_key` returns the key of the installation; it is called once a mask needs it."""

    def __init__(self, masks: Mapping[str, str], read_key: Callable[[], bytes]) -> None:
        self._masks = masks
        self._read_key = read_key

    @cached_property
    def _hash(self) -> "KeyedHash":
        library: Any = import_module("ingest_ray.engine.masking.keyed_hash")  # imports NumPy and the ciphers
        found: KeyedHash = library.KeyedHash(self._read_key())
        return found

    def mask_column(self, column: pa.Array, field: pa.Field, target: pa.Field) -> tuple[pa.Array, pa.Array | None]:
        """The masked column in the type of `target`, and where a value has no mask (None: nowhere)."""
        match self._masks[field.name]:
            case "hmac":
                return self._hash.hash_column(_one_form(column, field)), None
            case "last4":
                return _last_four(column), None
            case "year":
                return _years(column)
            case _ if is_text(column.type):
                return pc.if_else(column.is_valid(), pa.scalar(REDACTED), pa.scalar(None, pa.string())), None
            case _:
                return pa.nulls(len(column), target.type), None

    def mask_raw(self, name: str, value: Any) -> Any:
        """The mask of one raw value of a rejected row, of any Python type."""
        if value is None:
            return None
        match self._masks[name]:
            case "hmac":
                text = value if isinstance(value, bytes) else _text_of(value).encode(errors="surrogatepass")
                return self._hash.hash_value(text)
            case "last4":
                return _last_four(pa.array([_text_of(value)]))[0].as_py()
            case "year":
                return _year_of(value)
            case _:
                return REDACTED


def _one_form(column: pa.Array, field: pa.Field) -> pa.Array:
    """Strings or bytes: equal for equal values."""
    kind, metadata = column.type, field.metadata or {}
    if is_bytes(kind):
        return column.cast(pa.binary()) if pa.types.is_fixed_size_binary(kind) else column
    if is_text(kind):
        if metadata.get(LOGICAL) == b"uuid":
            return pc.utf8_lower(column)
        return pc.utf8_rtrim(column, " ") if _PADDED.match(metadata.get(SOURCE_TYPE, b"")) else column
    if pa.types.is_date(kind):
        return column.cast(pa.date32()).cast(pa.string())
    text = convert(column, pa.string())
    if pa.types.is_integer(kind):
        return text
    text = pc.utf8_rtrim(
        pc.replace_substring_regex(text, r"(\.\d*?)0+$", r"\1"), "."
    )  # no zeros at the end of a fraction
    return pc.replace_substring_regex(text, " 00:00:00$", "") if pa.types.is_timestamp(kind) else text


def _last_four(column: pa.Array) -> pa.Array:
    text = pc.utf8_rtrim_whitespace(column.cast(pa.string()))
    return pc.if_else(pc.less(pc.utf8_length(text), SHORTEST_SHOWN), HIDDEN_DIGITS, pc.utf8_slice_codeunits(text, -4))


def _years(column: pa.Array) -> tuple[pa.Array, pa.Array | None]:
    if not is_text(column.type):
        return pc.year(column).cast(pa.int32()), None
    found = pc.struct_field(pc.extract_regex(column, _YEAR), "year").cast(pa.int32())
    misfits = pc.and_(column.is_valid(), found.is_null())
    return found, misfits if pc.any(misfits).as_py() else None


def _text_of(value: Any) -> str:
    return value if isinstance(value, str) else str(value)


def _year_of(value: Any) -> Any:
    """A text that is no number where there is no year: a replay must not store NULL for it."""
    if isinstance(value, date | datetime):
        return value.year
    found = re.match(_YEAR, _text_of(value), re.ASCII)
    return int(found["year"]) if found else REDACTED
