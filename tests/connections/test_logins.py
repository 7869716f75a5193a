"""A login makes the password of each new connection: servers whose password is another one each time, and TLS always."""

import socket
import ssl
import struct
import threading
import uuid
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from types import ModuleType
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from ingest_ray import registry
from ingest_ray.connections.login import LoginConfig, mint_password
from ingest_ray.connections.logins.aws import RdsLogin
from ingest_ray.connections.logins.azure import EntraLogin
from ingest_ray.connections.logins.google import CloudSqlLogin
from ingest_ray.connections.logins.offered import LazyDatabaseLogin
from ingest_ray.connections.password_file import PasswordFile
from ingest_ray.registry import strategy_for
from ingest_ray.sdk.contracts import LoginRequest
from ingest_ray.sdk.errors import ConfigError, SecretUnavailable
from ingest_ray.sdk.types import Endpoint, RunMode, WriteMode
from ingest_ray.sinks.databases.connect import open_sink
from ingest_ray.sinks.templates import SqlConfig
from ingest_ray.testing.dry_run import Rehearsal
from ingest_ray.testing.plugins import write_entry_points
from ingest_ray.testing.servers.mariadb import MariaServer, fresh_database, running_server
from ingest_ray.testing.servers.postgres import Postgres
from ingest_ray.testing.suites.sink_harness import Load
from tests.connections.postgres_front import PostgresFront, postgres_front
from tests.kv.tls_proxy import certificate
from tests.strategies.jdbc.conftest import rehearsal

THREADS = 12
Offer = Callable[[Callable[[LoginRequest], str]], None]


@pytest.fixture
def offer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Offer]:
    """Offers a login of somebody else of kind `mine`."""

    def make(mint: Callable[[LoginRequest], str]) -> None:
        content = ModuleType("my_login")
        kind = type("Mine", (), {"check": lambda self, options: None, "mint": lambda self, request: mint(request)})
        content.login = kind()  # type: ignore[attr-defined]
        monkeypatch.setitem(__import__("sys").modules, "my_login", content)
        write_entry_points(tmp_path / "plugin", "my-login", {registry.DATABASE_LOGINS: {"mine": "my_login:login"}})
        registry.forget()

    monkeypatch.syspath_prepend(str(tmp_path / "plugin"))
    yield make
    registry.forget()


@pytest.fixture(scope="module")
def pem(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return certificate(tmp_path_factory.mktemp("tls"))


class Minter:
    """Each password replaces the one before it at the server: only the newest one is ever accepted."""

    def __init__(self, set_password: Callable[[str], Any]) -> None:
        self._set_password = set_password
        self.requests: list[LoginRequest] = []

    def __call__(self, request: LoginRequest) -> str:
        self.requests.append(request)
        password = (
            f"minted:{uuid.uuid4().hex}\\{'x' * 900}"  # as long as the tokens of clouds, with what must be escaped
        )
        self._set_password(password)
        return password


# --- PostgreSQL


@pytest.fixture
def role(pg: Postgres) -> Iterator[str]:
    """A role that needs a password, also through the socket."""
    name = f"minted_{uuid.uuid4().hex[:8]}"
    pg.run(f"CREATE ROLE {name} LOGIN SUPERUSER")
    pg.run("CREATE TABLE t (id int PRIMARY KEY, v text)")
    pg.run("INSERT INTO t SELECT n, 'x' FROM generate_series(1, 40) n")
    rules = pg.folder / "pg_hba.conf"
    before = rules.read_text()
    rules.write_text(f"local all {name} password\n{before}")
    pg.run("SELECT pg_reload_conf()")
    yield name
    rules.write_text(before)
    pg.run("SELECT pg_reload_conf()")


@pytest.fixture
def front(pg: Postgres, pem: Path) -> Iterator[PostgresFront]:
    with postgres_front(pg.folder, pem) as running:
        yield running


def minter_of(pg: Postgres, role: str) -> Minter:
    return Minter(lambda password: pg.run(f"ALTER ROLE {role} PASSWORD '{password}'"))


def source(front: PostgresFront, pg: Postgres, role: str, **config: Any) -> Endpoint:
    fields = {"host": "127.0.0.1", "port": front.port, "database": pg.name, "user": role, "login": {"kind": "mine"}}
    return Endpoint(endpoint_id="pg", template="jdbc.postgres", config={**fields, **config})


def test_a_postgres_source_has_a_new_password_for_each_connection(
    pg: Postgres, role: str, front: PostgresFront, offer: Offer
) -> None:
    minter = minter_of(pg, role)
    offer(minter)
    unit: Rehearsal = rehearsal(source(front, pg, role), "public.t", 10, RunMode.FULL)
    assert len(unit.run().rows) == 40
    assert len(unit.outcome.slices) == 4
    assert front.encrypted == len(minter.requests) >= 6  # the server's types, the planner, each slice
    assert front.plain == 0
    assert minter.requests[0] == LoginRequest("127.0.0.1", front.port, role)


def test_a_login_never_sends_its_password_in_clear_text(
    pg: Postgres, role: str, offer: Offer, pem: Path, front: PostgresFront
) -> None:
    offer(minter_of(pg, role))
    with postgres_front(pg.folder) as without_tls:
        report = strategy_for("jdbc.postgres").test(source(without_tls, pg, role))
        assert "server does not support SSL" in report.diagnostics[0].message
        sink = {"url": f"postgresql://{role}@127.0.0.1:{without_tls.port}/{pg.name}", "login": {"kind": "mine"}}
        with pytest.raises(Exception, match="server does not support SSL"):
            Load(SinkWorld(SqlConfig.model_validate(sink)), WriteMode.APPEND).put((1, 1, "x"), first=True)
        for mode in ("disable", "allow", "prefer"):
            with pytest.raises(ConfigError, match="only sent through TLS"):
                open_sink(SqlConfig.model_validate({**sink, "url": f"{sink['url']}?sslmode={mode}"}))
    assert strategy_for("jdbc.postgres").test(source(front, pg, role, sslrootcert=str(pem))).ok  # verify-full
    report = strategy_for("jdbc.postgres").test(source(front, pg, role, sslrootcert=str(pem), host="localhost"))
    assert "localhost" in report.diagnostics[0].message


class SinkWorld:
    def __init__(self, config: SqlConfig) -> None:
        self._config = config
        self.url = config.url

    def open(self) -> Any:
        return open_sink(self._config)

    def read_all(self, target: Any) -> list[dict[str, Any]]:
        return []


def test_a_postgres_sink_has_a_new_password_for_each_connection(
    pg: Postgres, role: str, front: PostgresFront, offer: Offer
) -> None:
    minter = minter_of(pg, role)
    offer(minter)
    config = SqlConfig.model_validate(
        {"url": f"postgresql://{role}@127.0.0.1:{front.port}/{pg.name}", "login": {"kind": "mine"}}
    )
    load = Load(SinkWorld(config), WriteMode.UPSERT)
    load.put((1, 1, "a"), (2, 1, "b"), first=True)
    pg.run(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = '{role}'")
    load.put((1, 2, "c"))  # connects anew
    tables = [
        name
        for (name,) in pg.run(
            "SELECT tablename FROM pg_tables WHERE tablename NOT LIKE '\\_%' AND tablename <> 't' AND schemaname = 'public'"
        )
    ]
    assert pg.run(f'SELECT count(*) FROM "{tables[0]}"') == [[2]]
    assert front.encrypted == len(minter.requests) >= 4
    assert front.plain == 0


class PasswordTaker:
    """A server of PostgreSQL's protocol behind TLS that asks for passwords in clear text, keeps them, and refuses all of them."""

    def __init__(self, pem: Path) -> None:
        self.taken: list[str] = []
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._context.load_cert_chain(pem)
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=64)
        self.port: int = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, plain: socket.socket) -> None:
        plain.recv(8, socket.MSG_WAITALL)
        plain.sendall(b"S")
        with suppress(OSError), self._context.wrap_socket(plain, server_side=True) as client:
            stream = client.makefile("rb")
            stream.read(struct.unpack("!i", stream.read(4))[0] - 4)
            client.sendall(struct.pack("!cii", b"R", 8, 3))  # AuthenticationCleartextPassword
            _, size = struct.unpack("!ci", stream.read(5))
            self.taken.append(stream.read(size - 4)[:-1].decode())
            fields = b"SFATAL\0C28P01\0Mpassword authentication failed\0\0"
            client.sendall(struct.pack("!ci", b"E", 4 + len(fields)) + fields)

    def close(self) -> None:
        self._listener.close()


@pytest.mark.parametrize("side", ["source", "sink"])
def test_connections_that_are_made_at_once_have_each_a_password_of_their_own(
    side: str, pem: Path, offer: Offer
) -> None:
    """One file in memory holds the passwords of all connections of a process: none takes another one's."""
    minted: list[str] = []
    together = threading.Barrier(THREADS)

    def mint(request: LoginRequest) -> str:
        password = f"{uuid.uuid4().hex}:\\{len(minted) * 'x'}"
        minted.append(password)
        return password

    offer(mint)
    server = PasswordTaker(pem)
    url = f"postgresql://app@127.0.0.1:{server.port}/shop"
    refusals: list[str] = []

    def connect() -> None:
        together.wait(60)
        try:
            if side == "source":
                config = {"url": url, "login": {"kind": "mine"}}
                list(
                    strategy_for("jdbc.postgres").collect(
                        Endpoint(endpoint_id="pg", template="jdbc.postgres", config=config)
                    )
                )
            else:
                sink = SqlConfig.model_validate({"url": url, "login": {"kind": "mine"}})
                Load(SinkWorld(sink), WriteMode.APPEND).put((1, 1, "x"), first=True)
        except Exception as error:
            refusals.append(str(error))

    threads = [threading.Thread(target=connect) for _ in range(THREADS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    server.close()
    assert len(refusals) == THREADS
    assert all("password authentication failed" in text for text in refusals), refusals
    assert len(server.taken) >= THREADS
    assert sorted(server.taken) == sorted(minted)
    assert len(set(minted)) == len(minted)


# --- MySQL and MariaDB


@pytest.fixture(scope="module")
def guarded(pem: Path) -> Iterator[MariaServer]:
    with running_server(f"--ssl-cert={pem}", f"--ssl-key={pem}") as server:
        yield server


def test_a_mysql_source_and_a_sink_have_a_new_password_for_each_connection(
    guarded: MariaServer, pem: Path, offer: Offer
) -> None:
    database = fresh_database(guarded)
    database.run("CREATE TABLE t (id int PRIMARY KEY, v text)")
    database.run("INSERT INTO t SELECT seq, 'x' FROM seq_1_to_40")
    database.run("CREATE USER minted@'%' IDENTIFIED BY 'none yet' REQUIRE SSL")
    database.run("GRANT ALL ON *.* TO minted@'%'")
    minter = Minter(
        lambda password: database.run(f"ALTER USER minted@'%' IDENTIFIED BY '{password.replace(chr(92), chr(92) * 2)}'")
    )
    offer(minter)
    config = {"host": "127.0.0.1", "port": guarded.port, "user": "minted", "database": database.name}
    for tls in ({}, {"ssl_ca": str(pem)}):
        endpoint = Endpoint(
            endpoint_id="my", template="jdbc.mysql", config={**config, "login": {"kind": "mine"}, **tls}
        )
        unit = rehearsal(endpoint, f"{database.name}.t", 10, RunMode.FULL)
        assert len(unit.run().rows) == 40
    assert len(minter.requests) >= 6
    query = f"?ssl_ca={pem}"
    for suffix in ("", query):
        url = f"mysql://minted@127.0.0.1:{guarded.port}/{database.name}{suffix}"
        load = Load(SinkWorld(SqlConfig.model_validate({"url": url, "login": {"kind": "mine"}})), WriteMode.UPSERT)
        load.put((1, 1, "a"), first=True)
    told = strategy_for("jdbc.mysql").test(
        Endpoint(
            endpoint_id="my",
            template="jdbc.mysql",
            config={**config, "host": "localhost", "login": {"kind": "mine"}, "ssl_ca": str(pem)},
        )
    )
    assert "localhost" in told.diagnostics[0].message  # the certificate is another host's
    database.run("DROP USER minted@'%'")


def test_a_mysql_server_without_tls_gets_no_password(mariadb_server: MariaServer, offer: Offer) -> None:
    offer(lambda request: "minted-password")
    config = {"host": "127.0.0.1", "port": mariadb_server.port, "user": "root", "login": {"kind": "mine"}}
    report = strategy_for("jdbc.mysql").test(Endpoint(endpoint_id="my", template="jdbc.mysql", config=config))
    assert "SSL is required" in report.diagnostics[0].message


# --- the configuration


@pytest.mark.parametrize(
    ("template", "config", "message"),
    [
        ("jdbc.postgres", {"user": "a", "password": "b"}, "'password' is left out"),
        ("jdbc.postgres", {}, "it needs 'user'"),
        ("jdbc.postgres", {"user": "a", "sslmode": "prefer"}, "only sent through TLS"),
        ("jdbc.postgres", {"user": "a", "host": "a,b"}, "one host"),
        ("jdbc.mysql", {"user": "a", "password": "b"}, "'password' is left out"),
        ("jdbc.mysql", {"user": "a", "ssl_mode": "preferred"}, "only sent through TLS"),
        ("jdbc.mysql", {"user": "a", "ssl_mode": "disabled"}, "only sent through TLS"),
        ("jdbc.mysql", {"user": "a", "login": {"kind": "none"}}, "there is no login 'none'"),
        ("jdbc.mysql", {"user": "a", "login": {"kind": "aws-rds", "regio": "x"}}, "option 'regio' is not known"),
        ("jdbc.mysql", {"user": "a", "login": {"kind": "aws-rds", "region": 7}}, "option 'region' is a text"),
    ],
)
def test_a_login_that_cannot_be_is_refused(template: str, config: dict[str, Any], message: str) -> None:
    given = {"host": "db", "login": {"kind": "aws-rds"}, **config}
    report_of = strategy_for(template)
    with pytest.raises(ConfigError) as caught:
        report_of.collect(Endpoint(endpoint_id="e", template=template, config=given)).__iter__().__next__()
    assert message in caught.value.message


def test_a_sink_refuses_two_passwords_and_files() -> None:
    for config, message in (
        ({"url": "postgresql://a:b@db/x"}, "it makes the password"),
        ({"url": "mysql://a@db/x", "password": "b"}, "'password' is left out"),
        ({"url": "postgresql://db/x"}, "it needs a user"),
        ({"url": "sqlite:///x.db"}, "it is a file"),
    ):
        with pytest.raises(ConfigError, match=message):
            open_sink(SqlConfig.model_validate({**config, "login": {"kind": "aws-rds"}}))


def test_what_a_login_raises_is_named_and_its_text_is_not_shown(offer: Offer) -> None:
    answers: list[Any] = [
        SecretUnavailable("busy"),
        ConfigError("no role", hint="ask"),
        RuntimeError("s3cret"),
        "a\nb",
        "",
    ]

    def mint(request: LoginRequest) -> str:
        answer = answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return str(answer)

    offer(mint)
    login = LoginConfig.model_validate({"kind": "mine"})
    expected = [
        (SecretUnavailable, "login 'mine': busy"),
        (ConfigError, "login 'mine': no role"),
        (ConfigError, "login 'mine' failed: RuntimeError"),
        (ConfigError, "login 'mine' made no password of one line"),
        (ConfigError, "login 'mine' made no password of one line"),
    ]
    for kind, message in expected:
        with pytest.raises(kind) as caught:
            mint_password(login, "db", 5432, "app")
        assert caught.value.message == message  # type: ignore[attr-defined]


def test_the_password_file_is_private_and_empty_after_use() -> None:
    file = PasswordFile()
    with file.holding("a:b\\c"):
        assert Path(file.path).read_text() == "*:*:*:*:a\\:b\\\\c\n"
        assert Path(file.path).stat().st_mode & 0o777 == 0o600
    assert Path(file.path).read_text() == ""


# --- clouds


@pytest.fixture
def aws(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("AWS_PROFILE", "AWS_REGION", "AWS_DEFAULT_REGION", "AWS_SESSION_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIAEXAMPLE")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "example")


def test_the_token_of_rds_has_the_signature_of_botocore(aws: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Signed here with botocore's signer alone, for the same moment."""
    import botocore.auth
    from botocore.awsrequest import AWSRequest
    from botocore.credentials import Credentials

    host = "shop.abc123.eu-central-1.rds.amazonaws.com"
    token = RdsLogin().mint(LoginRequest(host, 5432, "app"))
    query = {name: values[0] for name, values in parse_qs(urlsplit(f"https://{token}").query).items()}
    assert (query["Action"], query["DBUser"], query["X-Amz-Expires"]) == ("connect", "app", "900")
    assert query["X-Amz-Credential"].split("/")[2:] == ["eu-central-1", "rds-db", "aws4_request"]
    assert token.startswith(f"{host}:5432/?")

    request = AWSRequest("GET", f"https://{host}:5432/", params={"Action": "connect", "DBUser": "app"})
    request.context["timestamp"] = query["X-Amz-Date"]
    signer = botocore.auth.SigV4QueryAuth(Credentials("AKIAEXAMPLE", "example"), "rds-db", "eu-central-1", expires=900)
    prepared = AWSRequest("GET", f"https://{host}:5432/?Action=connect&DBUser=app")
    prepared.context["timestamp"] = query["X-Amz-Date"]
    signer._modify_request_before_signing(prepared)
    prepared.context["timestamp"] = query["X-Amz-Date"]
    canonical = signer.canonical_request(prepared)
    assert query["X-Amz-Signature"] == signer.signature(signer.string_to_sign(prepared, canonical), prepared)


def test_rds_needs_a_region_and_a_login(aws: None, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "us-gov-west-1" in RdsLogin().mint(LoginRequest("db", 3306, "app", {"region": "us-gov-west-1"}))
    with pytest.raises(ConfigError, match="region"):
        RdsLogin().mint(LoginRequest("db.example.com", 5432, "app"))
    with pytest.raises(ConfigError, match="profile"):
        RdsLogin().mint(LoginRequest("db", 5432, "app", {"region": "eu-west-1", "profile": "none"}))
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    with pytest.raises(ConfigError, match="AWS cannot sign") as caught:
        RdsLogin().mint(LoginRequest("db", 5432, "app", {"region": "eu-west-1"}))
    assert caught.value.hint is not None


def test_a_token_of_google_is_used_until_it_ends_soon() -> None:
    import datetime as dt

    from google.auth.exceptions import DefaultCredentialsError, RefreshError, TransportError

    class Credentials:
        valid, expiry, token, refreshed = False, None, "", 0
        fails: Any = None

        def refresh(self, request: Any) -> None:
            if self.fails:
                raise self.fails
            self.refreshed += 1
            self.token, self.valid = f"ya29.token-{self.refreshed}", True
            self.expiry: Any = dt.datetime.now(dt.UTC).replace(tzinfo=None) + dt.timedelta(hours=1)

    credentials = Credentials()
    login = CloudSqlLogin(lambda: credentials)
    request = LoginRequest("db", 5432, "app@shop.iam")
    assert [login.mint(request), login.mint(request)] == ["ya29.token-1", "ya29.token-1"]
    credentials.expiry -= dt.timedelta(minutes=58)
    assert login.mint(request) == "ya29.token-2"
    credentials.valid = False
    for error, kind in (
        (TransportError("away"), SecretUnavailable),
        (RefreshError("x", retryable=True), SecretUnavailable),
        (RefreshError("revoked"), ConfigError),
        (DefaultCredentialsError("none"), ConfigError),
    ):
        credentials.fails = error
        with pytest.raises(kind):
            login.mint(request)


def test_a_token_of_azure_has_the_scope_of_databases() -> None:
    from azure.core.exceptions import ClientAuthenticationError, ServiceRequestError

    asked: list[Any] = []

    class Credential:
        def __init__(self, client_id: str | None) -> None:
            self._client_id = client_id

        def get_token(self, scope: str) -> Any:
            asked.append((self._client_id, scope))
            if scope == "away":
                raise ServiceRequestError("away")
            if scope == "denied":
                raise ClientAuthenticationError("denied")
            return type("Token", (), {"token": "eyJ.token"})

    login = EntraLogin(Credential)
    assert login.mint(LoginRequest("db", 5432, "app", {"client_id": "7"})) == "eyJ.token"
    assert asked == [("7", "https://ossrdbms-aad.database.windows.net/.default")]
    for scope, kind in (("away", SecretUnavailable), ("denied", ConfigError)):
        with pytest.raises(kind):
            login.mint(LoginRequest("db", 5432, "app", {"scope": scope}))


def test_a_missing_library_is_named_with_its_extra() -> None:
    lazy = LazyDatabaseLogin((), "no_such_cloud_library:Login", extra="aws")
    with pytest.raises(ConfigError, match="needs the Python package 'no_such_cloud_library'") as caught:
        lazy.mint(LoginRequest("db", 5432, "app"))
    assert caught.value.hint == "pip install 'ingest-ray[aws]'"
