"""One session through python-oracledb in its thin mode: no client library is needed."""

import re
from collections.abc import Callable
from typing import Any

import oracledb

from ingest_ray.sdk.errors import IngestError
from ingest_ray.sdk.statement_spans import DatabasePeer
from ingest_strategies.jdbc.oracle.config import OracleConfig
from ingest_strategies.jdbc.sessions.dbapi import DbapiSession
from ingest_strategies.jdbc.sessions.faults import ErrorCodes, without_secrets

# How values are written and compared, the same in every session.
SETTINGS = (
    "NLS_COMP = BINARY NLS_SORT = BINARY NLS_NUMERIC_CHARACTERS = '.,' NLS_CALENDAR = GREGORIAN"
    " NLS_DATE_LANGUAGE = AMERICAN TIME_ZONE = '+00:00'"
)
_CODE = re.compile(r"\b((?:ORA|DPY)-\d{4,5})\b")
# https://docs.oracle.com/en/error-help/db/
ERROR_CODES = ErrorCodes(
    denied=frozenset(
        {"ORA-01017", "ORA-01031", "ORA-01045", "ORA-28000", "ORA-28001", "ORA-01005", "ORA-06550", "DPY-4001"}
    ),
    no_database=frozenset({"ORA-12505", "ORA-12514", "ORA-12154", "DPY-6001", "DPY-6003", "DPY-4026", "DPY-4027"}),
    changed=frozenset({"ORA-00942", "ORA-00904", "ORA-01466", "ORA-04043", "ORA-04063", "ORA-00980"}),
    syntax=frozenset(
        {
            "ORA-00900", "ORA-00905", "ORA-00907", "ORA-00911", "ORA-00920", "ORA-00923", "ORA-00932", "ORA-00933",
            "ORA-00936", "ORA-01722", "ORA-01756", "ORA-01861", "ORA-01008", "DPY-4010",
        }
    ),
    values=frozenset({"ORA-01426", "ORA-01841", "ORA-01873", "ORA-01878"}),
    database_hint="fields 'service' and 'sid'",
    changed_hint="collect metadata again; Oracle says the same where the grant is missing",
)  # fmt: skip


def open_session(endpoint_id: str, config: OracleConfig) -> DbapiSession:
    options = {"fetch_lobs": False}  # text and bytes come with their rows, not one by one afterwards
    peer = DatabasePeer("oracle.db", config.host, config.port, config.service)
    session = DbapiSession(
        lambda: connect(config), (oracledb.Error,), translate_errors(endpoint_id, config), options, peer
    )
    session.run(f"ALTER SESSION SET {SETTINGS}")
    return session


def connect(config: OracleConfig) -> Any:
    connection = oracledb.connect(
        host=config.host,
        port=config.port,
        service_name=config.service,
        sid=config.sid,
        user=config.user,
        password=config.password.get_secret_value() if config.password else None,
        protocol=config.protocol,
        wallet_location=config.wallet_location,
        wallet_password=config.wallet_password.get_secret_value() if config.wallet_password else None,
        ssl_server_dn_match=config.ssl_server_dn_match,
        ssl_server_cert_dn=config.ssl_server_cert_dn,
        tcp_connect_timeout=config.connect_timeout_s,
        program="ingest_ray",
    )
    if config.statement_timeout_s is not None:
        connection.call_timeout = int(config.statement_timeout_s * 1000)
    return connection


def translate_errors(endpoint_id: str, config: OracleConfig) -> Callable[[Exception], IngestError]:
    def translate(error: Exception) -> IngestError:
        message = without_secrets(str(error), config.secrets)
        first_code = _CODE.search(message)
        return ERROR_CODES.error(first_code[1] if first_code else "", f"{endpoint_id}: {message}")

    return translate
