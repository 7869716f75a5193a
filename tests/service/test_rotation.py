"""Key rotation loses no secret wherever the process dies, and leaves none under the old key."""

import os
from pathlib import Path

import pytest
from cryptography.fernet import Fernet

from ingest_ray.catalog import endpoints
from ingest_ray.sdk.errors import ConfigError, EndpointInUse
from ingest_ray.secrets import resolve
from ingest_ray.service.access.key_rotation import rotate_key
from ingest_ray.service.endpoints.collect import collect
from ingest_ray.service.launching.lifecycle import execute_run, open_run
from ingest_ray.service.runs.admission import RunRequest
from tests.forks import run_code
from tests.service.workspace import Workspace

pytestmark = pytest.mark.slow

SECRET = "correct-horse-battery-staple"


@pytest.fixture
def ready(workspace: Workspace) -> Workspace:
    workspace.source["password"] = SECRET
    workspace.apply()
    return workspace


def key_file(workspace: Workspace) -> Path:
    return Path(workspace.installation.settings.home) / "secret.key"


def sealed(workspace: Workspace) -> object:
    with workspace.installation.catalog.read() as connection:
        return endpoints.source(connection, "shop").endpoint.config["password"]


def opened(workspace: Workspace) -> object:
    with workspace.installation.catalog.read() as connection:
        entry = endpoints.source(connection, "shop")
    return resolve(entry.endpoint, workspace.installation.settings).config["password"]


def test_everything_has_the_new_key_and_the_old_one_is_gone(ready: Workspace) -> None:
    old_key, before = key_file(ready).read_bytes(), sealed(ready)
    done = rotate_key(ready.installation)
    assert (done.key_from, done.sealed) == ("file", 1)
    new_key = key_file(ready).read_bytes()
    assert old_key not in new_key
    assert new_key.count(b"\n") == 0
    assert oct(key_file(ready).stat().st_mode & 0o777) == "0o600"
    assert sealed(ready) != before
    assert opened(ready) == SECRET
    assert ready.apply().changes == ()


@pytest.mark.parametrize("step", ["rotate:after-new-key", "rotate:before-commit", "rotate:after-commit"])
def test_dying_in_between_loses_nothing_and_rotating_again_goes_on(ready: Workspace, step: str) -> None:
    code = (
        "from pathlib import Path; from ingest_ray.config import load_config;"
        "from ingest_ray.service.installation import Installation; from ingest_ray.service.access.key_rotation import rotate_key;"
        f"rotate_key(Installation(load_config(Path({str(ready.file)!r})).settings))"
    )
    environment = {**os.environ, "INGEST_FAILPOINT": step}
    died = run_code(code, env=environment)
    assert died.returncode == -9
    assert opened(ready) == SECRET
    rotate_key(ready.installation)
    assert opened(ready) == SECRET
    assert len(key_file(ready).read_bytes().split()) == 1


def test_with_the_key_in_the_environment_the_first_seals_and_the_others_open(
    ready: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = key_file(ready).read_text()
    new = Fernet.generate_key().decode()
    monkeypatch.setenv("INGEST_SECRET_KEY", f"{new},{old}")
    assert opened(ready) == SECRET
    assert rotate_key(ready.installation).key_from == "environment"
    monkeypatch.setenv("INGEST_SECRET_KEY", new)
    assert opened(ready) == SECRET
    monkeypatch.setenv("INGEST_SECRET_KEY", old)
    with pytest.raises(ConfigError, match="another key"):
        opened(ready)


def test_a_key_that_others_can_read_is_refused(ready: Workspace) -> None:
    key_file(ready).chmod(0o644)
    with pytest.raises(ConfigError, match="can be read by others") as refused:
        opened(ready)
    assert "chmod 600" in str(refused.value.hint)


def test_while_a_run_goes_on_nothing_is_rotated(ready: Workspace) -> None:
    collect(ready.installation, "shop")
    run_id = open_run(ready.installation, RunRequest(endpoint_id="shop", unit_id="numbers-1x1000"))
    before = sealed(ready)
    with pytest.raises(EndpointInUse, match=run_id):
        rotate_key(ready.installation)
    assert sealed(ready) == before
    execute_run(ready.installation, run_id)
    rotate_key(ready.installation)
