"""Translates the errors of PostgreSQL and its driver into those of `ingest_ray.sdk.errors`."""

import re

import adbc_driver_manager

from ingest_ray.sdk.errors import ConfigError, IngestError, RowsRejected, SinkRejected, SinkUnavailable
from ingest_ray.sinks.databases.conflicts import DuplicateKey, TransactionConflict

# Transient classes of https://www.postgresql.org/docs/current/errcodes-appendix.html: connection, transaction rollback,
# resources, operator's intervention; and one code, a lock that was not granted in time.
_TRANSIENT = ("08", "40", "53", "57", "55P03")

# `CREATE ... IF NOT EXISTS` of two transactions at once: the one that is later finds neither the table before nor its name free
# afterwards. A schema, a table, or the type of a table's rows.
_EXISTS = ("42P06", "42P07", "42710")

_LOGIN = re.compile(r'authentication failed|no password supplied|(role|database) "[^"]*" does not exist|pg_hba\.conf')


def translate_error(error: adbc_driver_manager.Error, shown_url: str) -> IngestError:
    cause = error.__cause__ or error.__context__
    if isinstance(cause, IngestError):  # raised by the iterator of rows that were being loaded
        return cause
    return error_of(getattr(error, "sqlstate", None) or "", " ".join(str(error).split()), shown_url)


def error_of(state: str, text: str, shown_url: str) -> IngestError:
    """`state`: the SQLSTATE; empty where the server did not answer."""
    if state.startswith(("28", "3D")) or _LOGIN.search(text):  # the driver gives no state for a failed connection
        return ConfigError(f"'{shown_url}' refused the login: {text}", hint="check user, password and database")
    if state.startswith("42501"):
        return SinkRejected(f"'{shown_url}' refused: {text}", hint="grant the user this right")
    if state.startswith("22"):  # of a value: out of range, not in the encoding, not JSON
        hint = "a database whose encoding is UTF8 has every character" if state == "22P05" else None
        return RowsRejected(f"'{shown_url}' refused: {text}", hint=hint)
    if state == "54000":
        return RowsRejected(
            f"'{shown_url}' refused: {text}",
            hint="where the message names an index, drop it, or create a hash index in its place",
        )
    if state == "23505" or state in _EXISTS:
        return DuplicateKey(f"'{shown_url}' refused: {text}")
    if state in ("40001", "40P01"):
        return TransactionConflict(f"'{shown_url}' refused: {text}")
    if not state or state.startswith(_TRANSIENT):
        return SinkUnavailable(f"'{shown_url}' does not answer: {text}")
    return SinkRejected(f"'{shown_url}' refused: {text}")
