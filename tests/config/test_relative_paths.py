"""Relative paths in `ingest.yaml` are relative to its folder, wherever the command is called."""

from pathlib import Path

import pytest
from pydantic import BaseModel, Field, JsonValue, SecretStr

from ingest_ray.config import load_config
from ingest_ray.config.relative_paths import with_absolute_paths
from ingest_ray.sdk.local_paths import LocalPath


class Tls(BaseModel):
    ca: LocalPath | None = None
    keys: tuple[LocalPath, ...] = ()


class Source(BaseModel):
    """As a third party would write it."""

    folder: Path
    mode: str = "fast"
    tls: Tls | None = None
    password: SecretStr | None = None
    by_name: dict[str, LocalPath] = Field(default_factory=dict)
    shown: LocalPath = Field(default="", alias="display")


def test_every_path_of_a_model_is_relative_to_the_folder(tmp_path: Path) -> None:
    config: dict[str, JsonValue] = {
        "folder": "in",
        "mode": "fast",
        "tls": {"ca": "ca.pem", "keys": ["a.key", "/abs/b.key"]},
        "password": "file:secret.txt",
        "by_name": {"x": "y.csv"},
        "display": "d.csv",
    }
    assert with_absolute_paths(Source, config, tmp_path) == {
        "folder": str(tmp_path / "in"),
        "mode": "fast",
        "tls": {"ca": str(tmp_path / "ca.pem"), "keys": [str(tmp_path / "a.key"), "/abs/b.key"]},
        "password": f"file:{tmp_path}/secret.txt",
        "by_name": {"x": str(tmp_path / "y.csv")},
        "display": str(tmp_path / "d.csv"),
    }


@pytest.mark.parametrize(
    ("template", "config", "field", "expected"),
    [
        ("jdbc.sqlite", "{path: data/shop.db}", "path", "{folder}/data/shop.db"),
        ("jdbc.sqlite", "{url: 'sqlite:data/shop.db'}", "url", "sqlite:{folder}/data/shop.db"),
        ("jdbc.postgres", "{host: db, sslrootcert: ca.pem}", "sslrootcert", "{folder}/ca.pem"),
        ("jdbc.postgres", "{host: db, sslrootcert: system}", "sslrootcert", "system"),
        ("jdbc.postgres", "{host: db, password: 'file:pw'}", "password", "file:{folder}/pw"),
        ("jdbc.mysql", "{host: db, ssl_ca: ca.pem}", "ssl_ca", "{folder}/ca.pem"),
    ],
)
def test_a_source_reads_the_same_files_from_any_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, template: str, config: str, field: str, expected: str
) -> None:
    project, elsewhere = tmp_path / "project", tmp_path / "elsewhere"
    project.mkdir()
    elsewhere.mkdir()
    (project / "pw").write_text("secret")
    (project / "ingest.yaml").write_text(f"endpoints: [{{id: shop, template: {template}, config: {config}}}]\n")
    monkeypatch.chdir(elsewhere)
    loaded = load_config(Path("../project/ingest.yaml"))
    assert loaded.endpoints[0].config[field] == expected.format(folder=project)
