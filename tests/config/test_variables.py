"""`${NAME}` is replaced everywhere in a file, and a reference where none can be is refused everywhere."""

from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel, SecretStr

from ingest_ray.config import load_config, load_settings
from ingest_ray.config.relative_paths import references_in_paths, unresolved_texts
from ingest_ray.config.variables import without_variables
from ingest_ray.registry import sink_family, sink_templates, strategy_for, strategy_templates
from ingest_ray.sdk.errors import ConfigError
from ingest_ray.sdk.local_paths import LocalPath


class ThirdParty(BaseModel):
    folder: Path
    certificates: dict[str, list[LocalPath]] = {}
    url: str | None = None
    password: SecretStr | None = None


def load(tmp_path: Path, text: str) -> Any:
    file = tmp_path / "ingest.yaml"
    file.write_text(text)
    return load_config(file)


@pytest.fixture(autouse=True)
def _environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("INGEST_HOME", raising=False)
    monkeypatch.setenv("DATA", str(tmp_path / "data"))
    monkeypatch.setenv("PORT", "5433")
    monkeypatch.setenv("PASSWORD", "correct-horse")


def test_variables_are_replaced_in_every_text_of_the_file(tmp_path: Path) -> None:
    data = f"{tmp_path}/data"
    config = load(
        tmp_path,
        """
home: ${DATA}/home
state: sqlite:///${DATA}/state.db
kv: sqlite:///${DATA}/kv.db
staging: {uri: "${DATA}/staging"}
ray: {num_cpus: 2}
serve:
  port: ${PORT}
endpoints:
  - {id: lite, template: jdbc.sqlite, config: {path: "${DATA}/shop.db"}}
  - id: shop
    template: jdbc.postgres
    config:
      host: db
      port: ${PORT}
      database: shop
      password: ${PASSWORD}
      sslrootcert: ${DATA}/ca.pem
sinks:
  - {id: lake, template: lake.delta, config: {uri: "${DATA}/lake"}}
  - {id: duck, template: sql, config: {url: "duckdb:///${DATA}/x.duckdb"}}
units:
  - {endpoint: lite, unit: "*", sink: lake, enabled: true}
""",
    )
    settings = config.settings
    assert (settings.home, settings.staging.uri) == (f"{data}/home", f"{data}/staging")
    assert (settings.state_url, settings.kv_url) == (f"sqlite:///{data}/state.db", f"sqlite:///{data}/kv.db")
    assert settings.serve.port == 5433
    lite, shop = config.endpoints
    assert lite.config["path"] == f"{data}/shop.db"
    assert shop.config["port"] == 5433
    assert (shop.config["password"], shop.config["sslrootcert"]) == ("correct-horse", f"{data}/ca.pem")
    assert [sink.config.get("uri") or sink.config.get("url") for sink in config.sinks] == [
        f"{data}/lake",
        f"duckdb:///{data}/x.duckdb",
    ]
    assert load_settings(tmp_path / "ingest.yaml").home == f"{data}/home"


def test_a_variable_can_be_written_as_itself(tmp_path: Path) -> None:
    config = load(tmp_path, "endpoints:\n  - {id: a, template: jdbc.sqlite, config: {path: '$${DATA}/x.db'}}\n")
    assert config.endpoints[0].config["path"] == f"{tmp_path}/${{DATA}}/x.db"
    assert without_variables("$${A} ${B} $C") == "$$${A} $${B} $C"


def test_all_variables_that_are_not_set_are_named_with_their_lines(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        load(tmp_path, "home: ${NO_SUCH}\nstate: sqlite:///${NOR_THIS}/x.db\n")
    assert "ingest.yaml:1: the environment variable 'NO_SUCH' is not set" in caught.value.message
    assert "ingest.yaml:2: the environment variable 'NOR_THIS' is not set" in caught.value.message


def test_a_variable_in_braces_without_quotes_is_explained(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        load(tmp_path, "staging: {uri: ${DATA}/x}\n")
    assert caught.value.hint == 'in braces and brackets a variable is quoted: "${NAME}"'


@pytest.mark.parametrize(
    ("text", "field"),
    [
        ("home: env:DATA\n", "home"),
        ("home: file:/x\n", "home"),
        ("staging: {uri: 'env:DATA'}\n", "staging.uri"),
    ],
)
def test_a_path_of_the_settings_is_no_reference(tmp_path: Path, text: str, field: str) -> None:
    for load_it in (load, lambda *_: load_settings(tmp_path / "ingest.yaml")):
        with pytest.raises(ConfigError, match=f"{field}: '.*' is a reference to a secret, and this is a path"):
            load_it(tmp_path, text)


def paths_of(model: type[BaseModel], more: tuple[str, ...]) -> list[str]:
    """The fields whose value `references_in_paths` takes for a path."""
    names = [field.alias or name for name, field in model.model_fields.items()]
    return [name for name in names if references_in_paths(model, {name: "env:DATA"}, more)]


def test_every_path_of_every_template_refuses_a_reference(tmp_path: Path) -> None:
    checked = 0
    for role, names in (("endpoints", strategy_templates()), ("sinks", sink_templates())):
        for name in names:
            family: Any = sink_family(name) if role == "sinks" else strategy_for(name)
            for field in paths_of(family.descriptor.config_model, ("uri", "path") if role == "sinks" else ()):
                with pytest.raises(ConfigError, match=rf"config\.{field}: 'env:DATA' is a reference"):
                    load(tmp_path, f"{role}:\n  - {{id: a, template: {name}, config: {{{field}: 'env:DATA'}}}}\n")
                checked += 1
    assert checked >= 4


def test_a_third_party_has_the_same_rule() -> None:
    config = {"folder": "env:DATA", "certificates": {"a": ["x", "env:B"]}, "url": "env:URL", "password": "env:PW"}
    found = references_in_paths(ThirdParty, config)
    assert found == [(("folder",), "env:DATA"), (("certificates", "a", 1), "env:B")]
    texts = unresolved_texts(ThirdParty, config | {"url": "x://${HOST}/y", "password": "${not}"})
    assert [field for field, _ in texts] == [("folder",), ("certificates", "a", 1), ("url",)]
