"""MySQL and MariaDB: the rows whose INSERT would be longer than the server's `max_allowed_packet`, or than a part of it.

https://dev.mysql.com/doc/refman/8.4/en/packet-too-large.html: the server may answer such a statement by closing the connection.
"""

import pyarrow as pa
import pyarrow.compute as pc
from pymysql.converters import escape_string

from ingest_ray.sdk.contracts import Misfit
from ingest_ray.sinks.type_mapping import is_bytes, is_text
from ingest_ray.sinks.value_conversion import convert

HEAD_BYTES = 1_024  # of a statement without its rows, at most
VALUE_BYTES = 96  # of a number, a time or a uuid as a literal, at most: a decimal has 65 digits
EXPANSION = 64  # of a nested value as JSON: a boolean of one bit becomes `false, `


def find_wide_rows(batch: pa.RecordBatch, schema: pa.Schema, packet_bytes: int) -> dict[int, Misfit]:
    """`schema`: the types to which the columns are converted. Counts exactly only where an estimate is too large."""
    most = packet_bytes - HEAD_BYTES
    factors = [EXPANSION if pa.types.is_nested(column.type) else 2 for column in batch.columns]
    estimate = sum(factor * column.nbytes for factor, column in zip(factors, batch.columns, strict=True))
    if estimate + VALUE_BYTES * batch.num_columns <= most:
        return {}
    texts = [_as_text(column, field.type) for column, field in zip(batch.columns, schema, strict=False)]
    total: pa.Array = pa.repeat(VALUE_BYTES * batch.num_columns, batch.num_rows)
    for text in texts:
        if text is not None:
            total = pc.add(total, pc.multiply(pc.fill_null(pc.binary_length(text), 0).cast(pa.int64()), 2))
    found: dict[int, Misfit] = {}
    for row in pc.indices_nonzero(pc.greater(total, most)).to_pylist():
        lengths = {
            field.name: _literal_bytes(text[row], is_binary=is_bytes(field.type))
            for field, text in zip(schema, texts, strict=False)
            if text is not None
        }
        size = sum(lengths.values()) + VALUE_BYTES * (batch.num_columns - len(lengths))
        if size > most:
            reason = f"makes a statement of {size} bytes, and the server's max_allowed_packet is {packet_bytes} bytes"
            found[row] = Misfit(max(lengths, key=lambda name: lengths[name]), reason)
    return found


def _as_text(column: pa.Array, target: pa.DataType) -> pa.Array | None:
    """The column where its values have no limited length; None for others."""
    if isinstance(column.type, pa.BaseExtensionType):
        column = column.storage
    kind = column.type
    if is_text(kind) or pa.types.is_dictionary(kind):
        return column.cast(pa.large_string()).cast(pa.large_binary())
    if is_bytes(kind) and not pa.types.is_string(target):
        return column.cast(pa.large_binary())
    if pa.types.is_nested(kind):
        try:
            return convert(column, pa.string()).cast(pa.large_binary())
        except (pa.ArrowException, ValueError, OverflowError):  # another reason keeps these rows out
            return None
    return None


def _literal_bytes(value: pa.Scalar, *, is_binary: bool) -> int:
    content = value.as_py() or b""
    return 2 * len(content) + 3 if is_binary else len(escape_string(content.decode(errors="replace")).encode()) + 2
