"""`ingest.yaml`: valid files are accepted, and every mistake is named by file, line and field."""

from pathlib import Path

import pytest

from ingest_ray.config import load_config, load_settings
from ingest_ray.sdk.errors import ConfigError
from ingest_ray.secrets import open_url

GOOD = """\
home: .ingest-ray
state: sqlite
staging: {provider: files, uri: ./pages}
ray: {address: local}
endpoints:
  - {id: shop, template: jdbc.postgres, config: {url: "postgresql://app@db/shop", password: "env:SHOP_PASSWORD", schemas: [public]}}
  - {id: file, template: jdbc.sqlite, config: {url: "sqlite:///data/shop.db"}}
sinks:
  - {id: lake, template: lake.delta, config: {uri: ./lake}}
units:
  - endpoint: shop
    unit: "public.*"
    sink: lake
    enabled: true
    run_mode: INCREMENTAL
    policy:
      cursor: updated_at
      primary_key: [id]
      lookback: 10m
      write: upsert
"""


@pytest.fixture(autouse=True)
def _no_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("INGEST_HOME", "INGEST_SECRET_KEY", "SHOP_PASSWORD"):
        monkeypatch.delenv(name, raising=False)


def written(folder: Path, text: str) -> Path:
    file = folder / "ingest.yaml"
    file.write_text(text)
    return file


def test_the_example_of_the_documentation_is_understood(tmp_path: Path) -> None:
    config = load_config(written(tmp_path, GOOD))
    assert config.settings.home == str(tmp_path / ".ingest-ray")
    assert config.settings.state_url == f"sqlite:///{tmp_path}/.ingest-ray/state.db"
    assert config.settings.staging_uri == str(tmp_path / "pages")
    assert config.endpoints[0].config["password"] == "env:SHOP_PASSWORD"
    assert config.endpoints[1].config["url"] == f"sqlite:///{tmp_path}/data/shop.db"
    assert config.sinks[0].config["uri"] == str(tmp_path / "lake")
    assert config.rules[0].policy.lookback == 600


def test_the_environment_may_name_another_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("INGEST_HOME", str(tmp_path / "other"))
    assert load_settings(written(tmp_path, GOOD)).state_url == f"sqlite:///{tmp_path}/other/state.db"


FAULTS = [
    ("lookback", "lookbak", r":19: units\[0\]\.policy\.lookbak: unknown field; did you mean 'lookback'\?"),
    ("lookback: 10m", "lookback: soon", r":19: units\[0\]\.policy\.lookback: a number with a unit, such as 30s"),
    (
        "write: upsert",
        "write: merge",
        r":20: units\[0\]\.policy\.write: should be 'append', 'upsert', 'replace' or 'history'",
    ),
    ("enabled: true", "enabled: perhaps", r":14: units\[0\]\.enabled: should be a valid boolean"),
    ("    sink: lake", "    sink: lak", r":13: units\[0\]\.sink: no sink 'lak' in this file; there is: lake"),
    ("- endpoint: shop", "- endpoint: shp", r":11: units\[0\]\.endpoint: no endpoint 'shp' in this file"),
    ("id: lake", "id: shop", r":9: sinks\[0\]\.id: 'shop' is taken, first at .*ingest\.yaml:6"),
    ("id: lake", "id: a/b", r":9: sinks\[0\]\.id: string should match pattern"),
    (
        "jdbc.postgres",
        "jdbc.postgress",
        r":6: endpoints\[0\]\.template: unknown template 'jdbc\.postgress'; known: .*jdbc\.postgres",
    ),
    ("lake.delta", "lake.hudi", r":9: sinks\[0\]\.template: unknown template 'lake\.hudi'; known: .*lake\.delta"),
    (
        "schemas: [public]",
        "schema: public",
        r":6: endpoints\[0\]\.config\.schema: unknown field; did you mean 'schemas'\?",
    ),
    ("uri: ./lake", "url: ./lake", r":9: sinks\[0\]\.config\.uri: is required"),
    ("home: .ingest-ray", "hme: x", r":1: hme: unknown field; did you mean 'home'\?"),
    ("state: sqlite", "home: twice", r":2: duplicate key 'home', first on line 1"),
    ("  - endpoint: shop", "  - endpoint: [shop", r":1[12]: "),
    (
        "schemas: [public]",
        "schemas: public",
        r":6: endpoints\[0\]\.config\.schemas: should be a list: '- ' before each entry",
    ),
    ("ray: {address: local}", "ray: 7", r":4: ray: should be a mapping: 'name: value' on each line"),
    ("ray: {address: local}", "ray: {num_cpus: 0}", r":4: ray\.num_cpus: should be greater than or equal to 1"),
]


@pytest.mark.parametrize(("old", "new", "says"), FAULTS, ids=[new for _, new, _ in FAULTS])
def test_a_fault_is_named_by_file_line_and_field(tmp_path: Path, old: str, new: str, says: str) -> None:
    assert old in GOOD
    with pytest.raises(ConfigError, match=r"ingest\.yaml" + says):
        load_config(written(tmp_path, GOOD.replace(old, new, 1)))


def test_all_faults_are_said_at_once(tmp_path: Path) -> None:
    text = GOOD.replace("lookback", "lookbak").replace("cursor:", "curser:")
    with pytest.raises(ConfigError) as caught:
        load_config(written(tmp_path, text))
    assert [line.partition("ingest.yaml:")[2][:3] for line in str(caught.value).splitlines()] == ["17:", "19:"]


@pytest.mark.slow
@pytest.mark.parametrize("text", ["", "- a\n", "7\n", "\x00", "a: &x [*x]\n", "{" * 3000])
def test_what_is_no_configuration_is_the_users_mistake(tmp_path: Path, text: str) -> None:
    with pytest.raises(ConfigError, match=r"ingest\.yaml"):
        load_config(written(tmp_path, text))


def test_dates_stay_text_and_merge_keys_work(tmp_path: Path) -> None:
    text = GOOD.replace(
        "units:",
        "units:\n  - &first {endpoint: shop, unit: a, sink: lake, policy: {where: 2024-01-01}}\n  - {<<: *first, unit: b}",
        1,
    )
    rules = load_config(written(tmp_path, text)).rules
    assert (rules[0].policy.where, rules[1].unit, rules[1].sink) == ("2024-01-01", "b", "lake")


def test_a_password_in_the_state_url_is_sealed_and_in_no_error(tmp_path: Path) -> None:
    text = GOOD.replace("state: sqlite", "state: 'postgresql://me:hunter2-state@db/ingest'")
    settings = load_settings(written(tmp_path, text))
    assert "hunter2-state" not in settings.model_dump_json()
    assert open_url(settings.state_url, settings) == "postgresql://me:hunter2-state@db/ingest"


def test_no_fault_shows_a_secret(tmp_path: Path) -> None:
    secret = "hunter2-in-the-file"
    for text in (
        GOOD.replace('password: "env:SHOP_PASSWORD"', f"password: {secret}, port: {secret}"),
        GOOD.replace("postgresql://app@db", f"postgresql://app:{secret}@db:notaport"),
        GOOD.replace('password: "env:SHOP_PASSWORD"', f"password: [{secret}]"),
        GOOD.replace("home: .ingest-ray", f"state2: 'postgresql://a:{secret}@h/d'"),
    ):
        with pytest.raises(ConfigError) as caught:
            load_config(written(tmp_path, text))
        assert secret not in f"{caught.value} {caught.value!r} {caught.value.hint}"
