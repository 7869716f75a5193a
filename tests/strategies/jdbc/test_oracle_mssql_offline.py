"""Oracle and SQL Server without a server: configuration, types, errors, and a host that does not answer."""

import ssl
from typing import Any

import oracledb
import pytest
from pytds.tds_base import LoginError

from ingest_ray.registry import strategy_for
from ingest_ray.sdk.arrow_types import from_text
from ingest_ray.sdk.errors import ConfigError, IngestError, SourceChanged, SourceDenied, SourceError, SourceUnavailable
from ingest_ray.sdk.types import Endpoint, Fidelity
from ingest_strategies.jdbc.config import parse_config
from ingest_strategies.jdbc.dialect import AxisColumn
from ingest_strategies.jdbc.mssql import session as mssql_session
from ingest_strategies.jdbc.mssql import types as mssql_types
from ingest_strategies.jdbc.mssql.config import MssqlConfig
from ingest_strategies.jdbc.mssql.dialect import Mssql
from ingest_strategies.jdbc.oracle import session as oracle_session
from ingest_strategies.jdbc.oracle import types as oracle_types
from ingest_strategies.jdbc.oracle.config import OracleConfig
from ingest_strategies.jdbc.oracle.dialect import Oracle
from ingest_strategies.jdbc.sessions.dbapi import wire_bytes


def endpoint(template: str, **config: Any) -> Endpoint:
    return Endpoint(endpoint_id="e", template=template, config=config)


@pytest.mark.parametrize(
    "config",
    [
        {"url": "jdbc:oracle:thin:@//db.example:1522/shop", "user": "app", "password": "sekret"},
        {"url": "jdbc:oracle:thin:@db.example:1522/shop", "user": "app", "password": "sekret"},
        {"url": "jdbc:oracle:thin:app/sekret@//db.example:1522/shop"},
        {"url": "oracle://app:sekret@db.example:1522/shop"},
        {"url": "oracle+oracledb://app:sekret@db.example:1522/?service_name=shop"},
        {"host": "db.example", "port": 1522, "service": "shop", "user": "app", "password": "sekret"},
    ],
)
def test_one_oracle_database_in_six_spellings(config: dict[str, Any]) -> None:
    parsed = parse_config(OracleConfig, endpoint("jdbc.oracle", **config))
    assert (parsed.host, parsed.port, parsed.service, parsed.sid, parsed.user) == (
        "db.example",
        1522,
        "shop",
        None,
        "app",
    )
    assert parsed.secrets == ("sekret",)
    assert "sekret" not in repr(parsed)


def test_an_oracle_sid_and_tls_can_be_in_the_url() -> None:
    sid = parse_config(OracleConfig, endpoint("jdbc.oracle", url="jdbc:oracle:thin:@db.example:1521:ORCL"))
    assert (sid.sid, sid.service, sid.protocol) == ("ORCL", None, "tcp")
    tls = parse_config(OracleConfig, endpoint("jdbc.oracle", url="jdbc:oracle:thin:@tcps://[::1]:2484/shop"))
    assert (tls.protocol, tls.host, tls.port, tls.ssl_server_dn_match) == ("tcps", "::1", 2484, True)


@pytest.mark.parametrize(
    "url",
    [
        "jdbc:sqlserver://db.example:1444;databaseName=shop;user=app;password=se;cr",
        "jdbc:sqlserver://db.example:1444;DatabaseName=shop;User=app;Password={se}}k;ret}",
        "sqlserver://db.example:1444;database=shop;user=app;password={se}}k;ret};encrypt=true",
        "mssql+pytds://app:se%7Dk%3Bret@db.example:1444/shop",
    ],
)
def test_one_mssql_database_in_several_spellings(url: str) -> None:
    if "se;cr" in url:
        with pytest.raises(ConfigError, match="properties are 'name=value'") as caught:
            parse_config(MssqlConfig, endpoint("jdbc.mssql", url=url))
        assert "se;cr" not in str(caught.value)
        return
    parsed = parse_config(MssqlConfig, endpoint("jdbc.mssql", url=url))
    assert (parsed.host, parsed.port, parsed.database, parsed.user) == ("db.example", 1444, "shop", "app")
    assert parsed.secrets == ("se}k;ret",)
    assert "k;ret" not in repr(parsed)
    assert parsed.encrypt


@pytest.mark.parametrize(
    ("template", "model", "config", "message"),
    [
        ("jdbc.oracle", OracleConfig, {"host": "h"}, "exactly one of 'service' and 'sid'"),
        ("jdbc.oracle", OracleConfig, {"url": "jdbc:oracle:thin:@SHOP_ALIAS"}, "a TNS alias or descriptor is not"),
        ("jdbc.oracle", OracleConfig, {"url": "oracle://h/s?sslmode=x"}, "parameter 'sslmode' is not known"),
        ("jdbc.mssql", MssqlConfig, {"url": "jdbc:sqlserver://h\\INST;user=a"}, "a named instance is not looked up"),
        ("jdbc.mssql", MssqlConfig, {"url": "jdbc:sqlserver://h;trustServerCertificate=true"}, "name it in 'ssl_ca'"),
        (
            "jdbc.mssql",
            MssqlConfig,
            {"url": "jdbc:sqlserver://h;applicationIntentt=x"},
            "'applicationIntentt' is not known",
        ),
        ("jdbc.mssql", MssqlConfig, {"url": "mysql://h/d"}, "must begin with 'mssql://'"),
    ],
)
def test_a_mistake_in_the_configuration_is_named(
    template: str, model: Any, config: dict[str, Any], message: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        parse_config(model, endpoint(template, **config))
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("template", "url"),
    [
        ("jdbc.oracle", "jdbc:oracle:thin:app/sekret-sekret@//127.0.0.1:1/shop"),
        ("jdbc.mssql", "jdbc:sqlserver://127.0.0.1:1;databaseName=shop;user=app;password=sekret-sekret"),
    ],
)
def test_a2_a_host_that_does_not_answer_is_unavailable(template: str, url: str) -> None:
    report = strategy_for(template).test(endpoint(template, url=url, connect_timeout_s=2))
    assert not report.ok
    assert report.diagnostics[0].code == "unreachable"
    assert "sekret-sekret" not in report.model_dump_json()


def test_a_server_without_tls_is_refused_and_gets_no_password(monkeypatch: pytest.MonkeyPatch) -> None:
    passed: dict[str, Any] = {}
    monkeypatch.setattr(mssql_session.pytds, "connect", lambda **options: passed.update(options))
    mssql_session.connect(MssqlConfig(host="h"))
    assert passed["cafile"] == ssl.get_default_verify_paths().cafile
    assert passed["validate_host"]
    assert not passed["enc_login_only"] if "enc_login_only" in passed else True
    mssql_session.connect(MssqlConfig(host="h", ssl_ca="/own.pem", ssl_check_hostname=False))
    assert (passed["cafile"], passed["validate_host"]) == ("/own.pem", False)
    mssql_session.connect(MssqlConfig(host="h", encrypt=False))
    assert passed["cafile"] is None


def test_oracles_tls_and_timeouts_reach_the_driver(monkeypatch: pytest.MonkeyPatch) -> None:
    passed: dict[str, Any] = {}

    class Connection:
        call_timeout = 0

    def connect(**options: Any) -> Connection:
        passed.update(options)
        return Connection()

    monkeypatch.setattr(oracle_session.oracledb, "connect", connect)
    config = OracleConfig(
        host="h", service="s", protocol="tcps", wallet_location="/w", ssl_server_cert_dn="CN=h", statement_timeout_s=1.5
    )
    assert oracle_session.connect(config).call_timeout == 1500
    assert oracledb.ConnectParams(**{name: value for name, value in passed.items() if value is not None})
    assert (passed["protocol"], passed["wallet_location"], passed["ssl_server_dn_match"]) == ("tcps", "/w", True)


ORACLE_TYPES = [
    ("NUMBER", None, None, "string", "decimal", "exact"),
    ("NUMBER", None, 0, "decimal128(38, 0)", "decimal", "exact"),
    ("NUMBER", 4, 0, "int16", "int", "exact"),
    ("NUMBER", 18, 0, "int64", "int", "exact"),
    ("NUMBER", 19, 0, "decimal128(19, 0)", "decimal", "exact"),
    ("NUMBER", 12, 2, "decimal128(12, 2)", "decimal", "exact"),
    ("NUMBER", 3, 5, "decimal128(5, 5)", "decimal", "exact"),
    ("NUMBER", 5, -2, "int32", "int", "exact"),
    ("NUMBER", 38, 40, "decimal256(40, 40)", "decimal", "exact"),
    ("NUMBER", 38, -84, "string", "decimal", "exact"),
    ("FLOAT", 126, None, "string", "decimal", "exact"),
    ("BINARY_DOUBLE", None, None, "float64", "float", "exact"),
    ("CHAR", None, None, "string", "text", "exact"),
    ("DATE", None, None, "timestamp[us]", "timestamp", "exact"),
    ("TIMESTAMP(6)", None, 6, "timestamp[us]", "timestamp", "exact"),
    ("TIMESTAMP(9)", None, 9, "string", "timestamp", "widened"),
    ("TIMESTAMP(6) WITH TIME ZONE", None, 6, "timestamp[us, UTC]", "timestamptz", "lossy"),
    ("TIMESTAMP(6) WITH LOCAL TIME ZONE", None, 6, "timestamp[us, UTC]", "timestamptz", "exact"),
    ("TIMESTAMP(9) WITH LOCAL TIME ZONE", None, 9, "string", "timestamptz", "widened"),
    ("INTERVAL DAY(2) TO SECOND(6)", 2, 6, "string", "other", "exact"),
    ("RAW", None, None, "binary", "bytes", "exact"),
    ("BLOB", None, None, "binary", "other", "exact"),
    ("CLOB", None, None, "string", "other", "exact"),
    ("XMLTYPE", None, None, "string", "other", "widened"),
    ("BFILE", None, None, "null", "other", "refused"),
]


@pytest.mark.parametrize(("name", "precision", "scale", "arrow", "kind", "fidelity"), ORACLE_TYPES)
def test_h66_the_arrow_types_of_oracle(
    name: str, precision: int | None, scale: int | None, arrow: str, kind: str, fidelity: str
) -> None:
    carrier = oracle_types.carrier_of(name, precision, scale, None, is_own=True)
    assert (carrier.arrow, carrier.kind, carrier.fidelity) == (arrow, kind, Fidelity(fidelity))
    from_text(carrier.arrow)
    assert carrier.note or carrier.fidelity is Fidelity.EXACT


def test_h66_an_oracle_number_without_precision_may_be_declared_a_decimal() -> None:
    carrier = oracle_types.carrier_of("NUMBER", None, None, 9, is_own=True)
    assert (carrier.arrow, carrier.fidelity) == ("decimal128(38, 9)", Fidelity.EXACT)
    assert "quarantine" in str(carrier.note)


MSSQL_TYPES = [
    ("tinyint", 1, 3, 0, "uint8", "int", "exact"),
    ("bigint", 8, 19, 0, "int64", "int", "exact"),
    ("bit", 1, 1, 0, "bool", "other", "exact"),
    ("decimal", 17, 38, 10, "decimal128(38, 10)", "decimal", "exact"),
    ("money", 8, 19, 4, "decimal128(19, 4)", "decimal", "exact"),
    ("smallmoney", 4, 10, 4, "decimal128(10, 4)", "decimal", "exact"),
    ("float", 8, 53, 0, "float64", "float", "exact"),
    ("real", 4, 24, 0, "float32", "float", "exact"),
    ("nvarchar", 40, 0, 0, "string", "text", "exact"),
    ("varchar", -1, 0, 0, "string", "other", "exact"),
    ("uniqueidentifier", 16, 0, 0, "string", "uuid", "exact"),
    ("varbinary", 8, 0, 0, "binary", "bytes", "exact"),
    ("timestamp", 8, 0, 0, "int64", "int", "exact"),
    ("date", 3, 10, 0, "date32", "date", "exact"),
    ("time", 5, 13, 6, "time64[us]", "other", "exact"),
    ("time", 5, 16, 7, "string", "other", "widened"),
    ("datetime", 8, 23, 3, "timestamp[us]", "timestamp", "exact"),
    ("datetime2", 8, 26, 6, "timestamp[us]", "timestamp", "exact"),
    ("datetime2", 8, 27, 7, "string", "timestamp", "widened"),
    ("datetimeoffset", 10, 33, 6, "timestamp[us, UTC]", "timestamptz", "lossy"),
    ("xml", -1, 0, 0, "string", "other", "widened"),
    ("hierarchyid", 892, 0, 0, "null", "other", "refused"),
    ("geometry", -1, 0, 0, "null", "other", "refused"),
    ("sql_variant", 8016, 0, 0, "null", "other", "refused"),
]


@pytest.mark.parametrize(("name", "length", "precision", "scale", "arrow", "kind", "fidelity"), MSSQL_TYPES)
def test_h66_the_arrow_types_of_mssql(
    name: str, length: int, precision: int, scale: int, arrow: str, kind: str, fidelity: str
) -> None:
    carrier = mssql_types.carrier_of(name, length, precision, scale, "Latin1_General_CI_AS")
    assert (carrier.arrow, carrier.kind, carrier.fidelity) == (arrow, kind, Fidelity(fidelity))
    from_text(carrier.arrow)
    assert carrier.note or carrier.fidelity is Fidelity.EXACT


@pytest.mark.parametrize(
    ("cast", "value", "literal"),
    [
        ("datetime", "2026-01-02T03:04:05.003", "CAST('2026-01-02T03:04:05.003' AS datetime)"),
        ("datetime", "2026-01-02T03:04:05.0033333", "CAST('2026-01-02T03:04:05.003' AS datetime)"),
        ("datetime2(7)", "2026-01-02 03:04:05.1234567", "CAST('2026-01-02T03:04:05.1234567' AS datetime2(7))"),
        ("date", "2026-01-02T00:00:00", "CAST('2026-01-02' AS date)"),
        ("datetimeoffset(7)", "2026-01-02T03:04Z", "CAST('2026-01-02T03:04:00+00:00' AS datetimeoffset(7))"),
    ],
)
def test_c25_mssql_times_are_literals_of_the_columns_own_type(cast: str, value: str, literal: str) -> None:
    column = AxisColumn("ts", "timestamp", '"t"."ts"', cast)
    assert Mssql().literal(column, value) == literal


@pytest.mark.parametrize(
    ("cast", "value", "literal"),
    [
        ("DATE", "2026-01-02T03:04:05", """TO_DATE(' 2026-01-02T03:04:05', 'SYYYY-MM-DD"T"HH24:MI:SS')"""),
        ("TIMESTAMP", "-4712-01-01", """TO_TIMESTAMP('-4712-01-01T00:00:00.0', 'SYYYY-MM-DD"T"HH24:MI:SS.FF9')"""),
        ("VARCHAR2", "it's", "'it''s'"),
        ("NVARCHAR2", "it's", "N'it''s'"),
        ("VARCHAR2", "ü\\'", "TO_CHAR(UNISTR('\\00fc\\005c\\0027'))"),
        ("NCHAR", "😀", "UNISTR('\\d83d\\de00')"),
        ("VARCHAR2", "", "TO_CHAR(UNISTR('\\0000'))"),
    ],
)
def test_b12_oracle_literals_are_of_the_columns_own_type_and_never_null(cast: str, value: str, literal: str) -> None:
    kind: Any = "text" if "CHAR" in cast else "timestamp"
    assert Oracle().literal(AxisColumn("c", kind, '"T"."C"', cast), value) == literal


@pytest.mark.parametrize("dialect", [Oracle(), Mssql()], ids=["oracle", "mssql"])
@pytest.mark.parametrize(("kind", "cast"), [("timestamp", "DATE"), ("decimal", "decimal(9, 2)"), ("float", "float")])
def test_b17_a_bound_that_is_no_value_never_becomes_sql(dialect: Any, kind: Any, cast: str) -> None:
    with pytest.raises(ConfigError, match="is no"):
        dialect.literal(AxisColumn("c", kind, '"T"."C"', cast), "1'; DROP TABLE t --")


@pytest.mark.parametrize(
    ("message", "kind"),
    [
        ("ORA-01017: invalid username/password; logon denied", SourceDenied),
        ("ORA-00942: table or view does not exist", SourceChanged),
        ('ORA-00904: "X": invalid identifier', SourceChanged),
        ("ORA-00933: SQL command not properly ended", ConfigError),
        ('DPY-6001: Service "x" is not registered with the listener', ConfigError),
        ("ORA-01555: snapshot too old", SourceUnavailable),
        ("ORA-01873: the leading precision of the interval is too small", SourceError),
        ("DPY-4024: call timeout of 1500 ms exceeded", SourceUnavailable),
        ("DPY-6005: cannot connect to database", SourceUnavailable),
    ],
)
def test_oracles_errors_are_mapped_by_their_code(message: str, kind: type[IngestError]) -> None:
    config = OracleConfig(host="h", service="s", password="sekret-sekret")
    error = oracle_session.translate_errors("e", config)(oracledb.DatabaseError(f"{message} sekret-sekret"))
    assert type(error) is kind
    assert "sekret-sekret" not in str(error)


@pytest.mark.parametrize(
    ("number", "kind"),
    [(18456, SourceDenied), (229, SourceDenied), (208, SourceChanged), (102, ConfigError), (4060, ConfigError),
     (1205, SourceUnavailable), (517, SourceError), (0, SourceUnavailable)],
)  # fmt: skip
def test_mssql_errors_are_mapped_by_their_number(number: int, kind: type[IngestError]) -> None:
    error = LoginError("Login failed for user 'app', sekret-sekret")
    error.msg_no = number
    translated = mssql_session.translate_errors("e", MssqlConfig(host="h", password="sekret-sekret"))(error)
    assert type(translated) is kind
    assert "sekret-sekret" not in str(translated)


def test_h66_a_drivers_values_are_written_without_loss() -> None:
    values = [None, b"\x00", "ü", True, False, 12, 0.1, float("inf")]
    assert [wire_bytes(value) for value in values] == [None, b"\x00", "ü".encode(), b"1", b"0", b"12", b"0.1", b"inf"]
