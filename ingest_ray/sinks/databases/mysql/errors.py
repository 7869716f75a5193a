"""Translates the errors of MySQL and MariaDB into those of `ingest_ray.sdk.errors`."""

from ingest_ray.sdk.errors import ConfigError, IngestError, RowsRejected, SinkRejected, SinkUnavailable
from ingest_ray.sinks.databases.conflicts import DuplicateKey, TransactionConflict

# https://dev.mysql.com/doc/mysql-errors/8.4/en/: no connection (2xxx), too many connections, disk full, lock wait, deadlock,
# table full, server shutdown.
CONNECTION_LOST = frozenset({2002, 2003, 2006, 2013, 2055, 1053, 1927})
_TRANSIENT = CONNECTION_LOST | {1021, 1040, 1114, 1203, 1205, 1213}
# Also: a host that may not connect, a password that ended, one that would be sent in clear text.
_LOGIN = frozenset({1044, 1045, 1049, 1130, 1698, 1820, 1862, 2061, 3118, 3159})
_NEEDS_KEY = frozenset({3750})
_GRANT = frozenset({1142, 1143, 1227, 1370})
_PACKET = 1153
# Too long, out of range, truncated, not in the encoding, not JSON, a row too wide for a page: values of a row.
_VALUES = frozenset(
    {1118, 1153, 1264, 1265, 1292, 1300, 1366, 1367, 1406, 1411, 1690, 3140, 3141, 3157, 3819, 4025, 4036, 4037, 4038}
)
DUPLICATE_COLUMN, _DUPLICATE_KEY, _DEADLOCK = 1060, 1062, 1213


def translate_error(error: Exception, shown_url: str) -> IngestError:
    code, text = code_of(error), f"'{shown_url}' refused: {error.args[-1] if error.args else error}"
    if code in _LOGIN:
        return ConfigError(text, hint="check user, password and database")
    if code == _DUPLICATE_KEY:
        return DuplicateKey(text)
    if code == _DEADLOCK:
        return TransactionConflict(text)
    if code in _TRANSIENT or isinstance(error, OSError):
        return SinkUnavailable(f"'{shown_url}' does not answer: {error.args[-1] if error.args else error}")
    if code in _NEEDS_KEY:
        return SinkRejected(
            text,
            hint="sql_generate_invisible_primary_key = ON (MySQL 8.0.30), or sql_require_primary_key = OFF for this user's sessions",
        )
    if code in _GRANT:
        return SinkRejected(text, hint="grant the user this right")
    if code == _PACKET:
        return RowsRejected(text, hint="raise the server's max_allowed_packet")
    return RowsRejected(text) if code in _VALUES else SinkRejected(text)


def code_of(error: BaseException) -> int:
    return int(error.args[0]) if error.args and isinstance(error.args[0], int) else 0
