"""One connection through python-tds, a pure Python driver of the server's own protocol."""

import ssl
from collections.abc import Callable
from importlib.util import find_spec
from typing import Any

import pytds
from pytds.tds_base import Error as TdsError

from ingest_ray.sdk.errors import IngestError
from ingest_ray.sdk.statement_spans import DatabasePeer
from ingest_strategies.jdbc.mssql.config import MssqlConfig
from ingest_strategies.jdbc.sessions.dbapi import DbapiSession
from ingest_strategies.jdbc.sessions.faults import ErrorCodes, without_secrets

if find_spec("OpenSSL") is None:  # python-tds imports it where a connection is encrypted, and raises a ValueError then
    raise ModuleNotFoundError("No module named 'OpenSSL'", name="OpenSSL")

# What statements mean and how much of a value is sent, the same in every session. A login's own TEXTSIZE or ROWCOUNT
# would cut values and results short without an error.
SETTINGS = (
    "SET QUOTED_IDENTIFIER, ANSI_NULLS, ANSI_PADDING, ANSI_WARNINGS, CONCAT_NULL_YIELDS_NULL, ARITHABORT, NOCOUNT ON;"
    " SET NUMERIC_ROUNDABORT, IMPLICIT_TRANSACTIONS OFF; SET LANGUAGE us_english; SET DATEFORMAT ymd;"
    " SET ROWCOUNT 0; SET TEXTSIZE 2147483647; SET DEADLOCK_PRIORITY LOW"
)
PLAIN = {"params": None}  # a statement as it is: its percent signs are no placeholders
# https://learn.microsoft.com/en-us/sql/relational-databases/errors-events/
ERROR_CODES = ErrorCodes(
    denied=frozenset({229, 230, 262, 297, 300, 371, 916, 18452, 18456, 18470, 18486, 18487, 18488}),
    no_database=frozenset({4060}),
    changed=frozenset({207, 208, 4413, 4502}),
    syntax=frozenset({102, 105, 137, 156, 170, 174, 195, 241, 245, 402, 4104, 4145, 8114}),
    values=frozenset({220, 232, 517, 535, 8115, 9810, 9813}),
    locked=frozenset({1222}),
)


def open_session(endpoint_id: str, config: MssqlConfig) -> DbapiSession:
    peer = DatabasePeer("microsoft.sql_server", config.host, config.port, config.database)
    session = DbapiSession(lambda: connect(config), (TdsError,), translate_errors(endpoint_id, config), PLAIN, peer)
    session.run(f"{SETTINGS}; SET LOCK_TIMEOUT {int(config.lock_timeout_s * 1000)}")
    return session


def connect(config: MssqlConfig) -> Any:
    ca = config.ssl_ca or ssl.get_default_verify_paths().cafile
    if config.encrypt and ca is None:
        raise OSError("field 'ssl_ca': this system has no list of trusted certificates")
    return pytds.connect(
        dsn=config.host,
        port=config.port,
        database=config.database,
        user=config.user,
        password=config.password.get_secret_value() if config.password else "",
        login_timeout=config.connect_timeout_s,
        timeout=config.statement_timeout_s,
        appname="ingest_ray",
        autocommit=True,
        cafile=ca if config.encrypt else None,
        validate_host=config.ssl_check_hostname,
        disable_connect_retry=True,
    )


def translate_errors(endpoint_id: str, config: MssqlConfig) -> Callable[[Exception], IngestError]:
    def translate(error: Exception) -> IngestError:
        number = int(getattr(error, "msg_no", 0) or getattr(error, "number", 0) or 0)
        message = without_secrets(str(error.args[0] if error.args else error), config.secrets)
        return ERROR_CODES.error(number, f"{endpoint_id}: {message}{f' ({number})' if number else ''}")

    return translate
