"""What an installation keeps is its owner's: modes of files, erased secrets, secrets with awkward characters, text of a source on a terminal."""

import base64
import io
import json
import logging
import os
import stat
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest_ray import logs
from ingest_ray.catalog import endpoints
from ingest_ray.catalog.tables import endpoints as endpoints_table
from ingest_ray.cli.tables.layout import console_on, table_of
from ingest_ray.files.folder import open_folder
from ingest_ray.files.private import make_private_file, make_private_folder, write_private_file
from ingest_ray.http.client import Auth, Client, Site
from ingest_ray.kv.engine import state_engine
from ingest_ray.sdk.errors import ConfigError, SourceError
from ingest_ray.secrets.sealing import resolve
from ingest_ray.service.access.key_rotation import rotate_key
from ingest_ray.service.backup.backup import take_backup
from ingest_ray.service.backup.restore import restore_backup
from ingest_ray.service.installation import Installation
from ingest_ray.settings import Settings
from tests.run.installation import Installation as RunInstallation
from tests.service.workspace import Workspace

posix = pytest.mark.skipif(os.name != "posix", reason="modes of files are POSIX")


def settings_in(home: Path) -> Settings:
    return Settings(home=str(home), state_url=f"sqlite:///{home}/state.db")


@pytest.fixture
def open_umask() -> Iterator[None]:
    before = os.umask(0)
    yield
    os.umask(before)


@posix
def test_files_of_an_installation_are_its_owners_whatever_the_umask(tmp_path: Path, open_umask: None) -> None:
    home = tmp_path / "home"
    make_private_folder(home)
    installation = RunInstallation(home, source={"bad": [3, 5]})
    assert installation.run().state == "SUCCEEDED"
    lake = installation.folder / "lake"
    journal = installation.journal
    kept = [
        path for path in [installation.folder, *installation.folder.rglob("*")] if lake not in [path, *path.parents]
    ]
    shared = {str(path): oct(path.stat().st_mode) for path in kept if path != journal and path.stat().st_mode & 0o077}
    assert {path: mode for path, mode in shared.items() if Path(path).is_file()} == {}
    assert str(home) not in shared


@posix
@pytest.mark.parametrize("mode", [0o777, 0o770, 0o720])
def test_a_home_that_others_may_write_is_refused(tmp_path: Path, mode: int) -> None:
    home = tmp_path / "home"
    home.mkdir()
    home.chmod(mode)
    with pytest.raises(ConfigError, match="others may write") as caught:
        Installation(settings_in(home))
    assert caught.value.hint == f"chmod go-w '{home}'"


def test_a_private_file_is_made_where_there_are_no_hard_links(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, open_umask: None
) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError("no hard links")

    monkeypatch.setattr(os, "link", refuse)
    make_private_file(str(tmp_path / "state.db"))
    assert [path.name for path in tmp_path.iterdir()] == ["state.db"]
    assert stat.S_IMODE((tmp_path / "state.db").stat().st_mode) == 0o600


@posix
def test_a_backup_and_what_is_restored_from_it_are_private(tmp_path: Path, open_umask: None) -> None:
    home, copy = tmp_path / "home", tmp_path / "backup"
    rejected = home / "quarantine" / "shop" / "rows.jsonl"
    write_private_file(rejected, b"{}\n")
    installation = Installation(settings_in(home))
    take_backup(installation, copy)
    rejected.unlink()
    restore_backup(installation, copy, replaces=True)
    assert rejected.read_bytes() == b"{}\n"
    files = [path for path in [*copy.rglob("*"), *home.rglob("*")] if path.is_file()]
    assert {str(path): oct(path.stat().st_mode) for path in files if path.stat().st_mode & 0o077} == {}


def test_a_put_of_a_folder_is_private(tmp_path: Path, open_umask: None) -> None:
    folder = open_folder(str(tmp_path))
    folder.put("a", b"x")
    folder.create("b").close()
    assert {stat.S_IMODE((tmp_path / name).stat().st_mode) for name in "ab"} == {0o600}


def test_opening_state_again_leaves_the_locks_of_its_open_connections(tmp_path: Path) -> None:
    """SQLite's locks belong to the process and the file: closing another descriptor of the file would release them."""
    url = f"sqlite:///{tmp_path}/state.db"
    engine = state_engine(url)
    with engine.begin() as connection:
        connection.exec_driver_sql("create table t (a int)")
        before = locks_on(tmp_path / "state.db")
        state_engine(url)
        assert locks_on(tmp_path / "state.db") == before != []


def locks_on(file: Path) -> list[str]:
    inode = f":{file.stat().st_ino} "
    lines = Path("/proc/locks").read_text().splitlines()
    return [line.partition(": ")[2] for line in lines if inode in line]


def stored_configs(workspace: Workspace) -> str:
    with workspace.installation.catalog.read() as connection:
        return json.dumps([row.config for row in connection.execute(endpoints_table.select())])


def test_a_deleted_endpoint_keeps_no_secret_and_a_rotation_leaves_none_of_the_old_key(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("INGEST_HOME", "INGEST_SECRET_KEY"):
        monkeypatch.delenv(name, raising=False)
    workspace = Workspace(tmp_path)
    workspace.source["password"] = "hunter2-and-more"
    workspace.apply()
    assert "$secret" in stored_configs(workspace)
    with workspace.installation.catalog.begin() as connection:
        endpoints.remove(connection, "shop")
    assert "$secret" not in stored_configs(workspace)
    with workspace.installation.catalog.begin() as connection:  # as an earlier version left it
        shop = endpoints_table.c.endpoint_id == "shop"
        connection.execute(endpoints_table.update().where(shop).values(config='{"password": {"$secret": "old"}}'))
    rotate_key(workspace.installation)
    assert "$secret" not in stored_configs(workspace)


AWKWARD = st.text(alphabet=st.sampled_from("aZ0\"'\\/%+&<>=?# é漢\t:@"), min_size=8, max_size=20).map(
    lambda text: f"s{text}t"
)


@given(AWKWARD)
def test_a_secret_is_hidden_in_every_form_that_it_may_be_written_in(secret: str) -> None:
    logs.hide(secret)
    forms = [
        secret,
        repr(secret),
        json.dumps(secret),
        json.dumps({"a": secret}, ensure_ascii=False),
        quote(secret),
        quote(secret, safe=""),
        quote_plus(secret),
        base64.b64encode(secret.encode()).decode(),
        repr(secret.encode()),
    ]
    for form in forms:
        shown = logs.scrub(f"before {form} after")
        assert form.strip("\"'b{}") not in shown or form.strip("\"'b{}") == "***", form


@pytest.mark.parametrize("written", ["t0ken-value\n", "  t0ken-value\r\n", "t0ken-value"])
def test_a_secret_of_a_variable_has_no_white_space_around_it(
    written: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("SHOP_TOKEN", written)
    endpoint = RunInstallation(tmp_path).order().spec.endpoint
    endpoint = endpoint.model_copy(update={"config": {**endpoint.config, "password": "env:SHOP_TOKEN"}})
    assert resolve(endpoint, settings_in(tmp_path)).config["password"] == "t0ken-value"


@pytest.mark.parametrize("written", ["first-half\nsecond-half", "esc\x1b[31mape", "null\0byte"[:4] + "\x07bell"])
def test_a_secret_of_several_lines_is_refused_without_its_words(
    written: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("SHOP_TOKEN", written)
    endpoint = RunInstallation(tmp_path).order().spec.endpoint
    endpoint = endpoint.model_copy(update={"config": {**endpoint.config, "password": "env:SHOP_TOKEN"}})
    with pytest.raises(ConfigError, match="field 'password'") as caught:
        resolve(endpoint, settings_in(tmp_path))
    assert written[:5] not in str(caught.value)


def test_a_token_that_no_header_can_carry_is_never_in_the_error() -> None:
    with pytest.raises(ConfigError) as caught:
        Client(Site("http://127.0.0.1:9", Auth("tökén-value")))
    assert "tökén" not in str(caught.value)


def test_the_login_goes_to_the_endpoints_own_site_only() -> None:
    with Client(Site("http://127.0.0.1:9", Auth("token-value"))) as client:
        with pytest.raises(SourceError, match="links to another site"):
            client.get("http://127.0.0.1:10/rest/next", bytes)


HOSTILE = "name\x1b[2J\x1b]0;title\x07\r\nERROR fake\u202e\x9b31m"


def test_text_of_a_source_commands_no_terminal_and_begins_no_line_of_a_log() -> None:
    out = io.StringIO()
    table = table_of("name")
    table.add_row(HOSTILE)
    console = console_on(out)
    console.print(table)
    console.print(f"unit {HOSTILE}")
    assert not set(out.getvalue()) & set("\x1b\x07\x9b\u202e\r")
    for form in ("text", "json"):
        stream = io.StringIO()
        handler = logs.configure(form, stream=stream)  # type: ignore[arg-type]
        try:
            logging.getLogger("ingest_ray.test").warning("unit %s", HOSTILE)
        finally:
            logging.getLogger().removeHandler(handler)
        assert not set(stream.getvalue()) & set("\x1b\x07\x9b\u202e\r")
        assert stream.getvalue().count("\n") == 1
