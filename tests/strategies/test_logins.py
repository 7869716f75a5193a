"""Every login of both products, against the simulators: scoped tokens and OAuth 2.0 at the gateway, tokens that end, Data Center."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ingest_ray.http.timing import Timing, using_timing
from ingest_ray.sdk.errors import ConfigError
from ingest_ray.sdk.types import Endpoint, RunState
from ingest_ray.settings import Settings
from ingest_ray.simulators.atlassian import Simulation, simulate
from ingest_ray.state.sealed_secrets import open_source
from ingest_strategies.confluence import http as confluence_http
from ingest_strategies.jira import http as jira_http
from tests.strategies.confluence import site as wiki
from tests.strategies.jira import site as jira

CLASSIC = "read:jira-work read:jira-user manage:jira-configuration"
WIKI = (
    "read:confluence-user search:confluence read:page:confluence read:space:confluence read:comment:confluence "
    "read:attachment:confluence read:space.permission:confluence read:confluence-groups read:folder:confluence "
    "read:confluence-content.all read:task:confluence read:whiteboard:confluence read:database:confluence "
    "read:embed:confluence read:custom-content:confluence"
)
SMALL: dict[str, Any] = {"jira": {"issues": 60, "projects": 2}, "confluence": {"pages": 60, "spaces": 2}}


def at_gateway(sim: Simulation, **config: Any) -> dict[str, Any]:
    return {"site": sim.url, "gateway_url": sim.gateway_url, "token_url": sim.token_url, "retry_wait_s": 0.02, **config}


LOGINS: dict[str, Callable[[Simulation], dict[str, Any]]] = {
    "scoped basic": lambda sim: at_gateway(sim, username=sim.user, api_token=sim.scoped_token),
    "scoped bearer": lambda sim: at_gateway(sim, auth_type="pat", api_token=sim.scoped_token),
    "refresh token": lambda sim: at_gateway(sim, auth_type="oauth", refresh_token="refresh-0", **sim.app),
    "client credentials": lambda sim: at_gateway(sim, auth_type="client_credentials", **sim.app),
}


def lake_of(sim: Simulation, folder: Path, config: dict[str, Any], unit: str | None = None) -> Any:
    """A lake whose endpoint keeps renewed tokens in the folder's installation."""
    kind: Any = jira.Lake if sim.product == "jira" else wiki.Lake
    template = "jira.http" if sim.product == "jira" else "http.confluence"
    extra = {} if sim.product == "jira" else wiki.EVERYTHING
    endpoint = Endpoint(endpoint_id="site", template=template, config={**extra, **config})
    settings = Settings(home=str(folder), state_url=f"sqlite:///{folder}/state.db")
    lake = kind(folder, endpoint, **({"unit": unit} if unit else {}))
    strategy = jira_http if sim.product == "jira" else confluence_http
    lake.datasets = {dataset.name: dataset for dataset in strategy.collect(open_source(endpoint, settings))}
    return lake


@pytest.mark.slow
@pytest.mark.parametrize("product", ["jira", "confluence"])
@pytest.mark.parametrize("login", LOGINS)
def test_a_site_is_loaded_with(tmp_path: Path, product: Any, login: str) -> None:
    scopes = CLASSIC if product == "jira" else WIKI
    with simulate(product, scopes=scopes, frozen=True, **SMALL[product]) as sim:
        lake = lake_of(sim, tmp_path, LOGINS[login](sim))
        summary = lake.run()
        assert summary.state is RunState.SUCCEEDED, summary.error
        assert lake.rows().keys() == {record["id"] for record in sim.expected()}
        stats = sim.stats()
        assert not stats["statuses"].keys() & {"401", "403"}
        assert stats["faults"].get("token", 0) == (1 if login in ("refresh token", "client credentials") else 0)


@pytest.mark.parametrize("product", ["jira", "confluence"])
def test_client_credentials_of_a_data_center(tmp_path: Path, product: Any) -> None:
    with simulate(product, "dc", frozen=True, **SMALL[product]) as sim:
        lake = lake_of(
            sim, tmp_path, {"base_url": sim.url, "auth_type": "client_credentials", "oauth_scope": "READ", **sim.app}
        )
        summary = lake.run()
        assert summary.state is RunState.SUCCEEDED, summary.error
        assert lake.rows().keys() == {record["id"] for record in sim.expected()}
        assert sim.stats()["faults"]["token"] == 1


@pytest.mark.slow
@pytest.mark.parametrize("login", ["refresh token", "client credentials"])
def test_three_hours_with_tokens_of_an_hour_are_a_few_renewals_and_no_refusal(tmp_path: Path, login: str) -> None:
    """Three simulated hours in a few seconds: the site's clock and the client's run equally fast."""
    speed = 2400.0
    clocks = Timing.fast(speed)
    with simulate(issues=150, projects=2, latency_ms=20, clock_speed=speed) as sim, using_timing(clocks):
        started_ms = sim.now_ms()
        lake = lake_of(sim, tmp_path, LOGINS[login](sim) | {"slice_issues": 5, "requests_at_once": 4})
        lake.readers = 2
        while sim.now_ms() - started_ms < 3 * 3_600_000:
            summary = lake.run()
            assert summary.state is RunState.SUCCEEDED, summary.error
            assert summary.retries == 0
            sim.mutate("update", count=60, seed=lake.runs)
        stats = sim.stats()
        assert "401" not in stats["statuses"]
        hours = (sim.now_ms() - started_ms) / 3_600_000
        assert 3 <= stats["faults"]["token"] <= 1 + hours / 0.9 + 1


def test_a_clock_that_jumps_costs_one_refusal_for_each_request_under_way(tmp_path: Path) -> None:
    with simulate(issues=60, projects=2) as sim:
        lake = lake_of(sim, tmp_path, LOGINS["refresh token"](sim))
        assert lake.run().state is RunState.SUCCEEDED
        sim.advance_clock(3700)
        sim.mutate("update", count=10, seed=1)
        summary = lake.run()
        assert summary.state is RunState.SUCCEEDED, summary.error
        stats = sim.stats()
        assert stats["faults"]["token"] == 2
        assert stats["statuses"]["401"] <= 8


def test_missing_scopes_are_named_with_what_needs_them() -> None:
    with simulate(scopes="read:jira-user", issues=10, projects=1, frozen=True) as sim:
        report = jira_http.test(Endpoint(endpoint_id="j", template="jira.http", config=LOGINS["scoped basic"](sim)))
        assert not report.ok
        text = "; ".join(f"{one.message} {one.hint}" for one in report.diagnostics)
        assert "read:jira-work" in text
    with simulate(scopes="read:jira-user read:jira-work", issues=10, projects=1, frozen=True) as sim:
        report = jira_http.test(Endpoint(endpoint_id="j", template="jira.http", config=LOGINS["scoped basic"](sim)))
        assert report.ok, "the priorities are only a filter option"
        (warning,) = [one for one in report.diagnostics if "filter options" in one.message]
        assert warning.level == "warning"
        assert "manage:jira-configuration" in warning.message
    with simulate(
        "confluence", scopes=WIKI.replace("read:comment:confluence ", ""), pages=10, spaces=1, frozen=True
    ) as sim:
        endpoint = Endpoint(endpoint_id="c", template="http.confluence", config=LOGINS["scoped basic"](sim))
        report = confluence_http.test(endpoint)
        assert report.ok
        (warning,) = [one for one in report.diagnostics if one.level == "warning"]
        assert "read:comment:confluence" in warning.message
        assert "confluence.comment" in warning.message
        assert "confluence.page" not in warning.message


def test_the_gateway_is_not_asked_for_a_data_center() -> None:
    with simulate("jira", "dc", issues=5, projects=1, frozen=True) as sim:
        config = at_gateway(sim, auth_type="pat", api_token=sim.token)
        report = jira_http.test(Endpoint(endpoint_id="j", template="jira.http", config=config))
        assert not report.ok
        assert report.diagnostics[0].code == "E_BAD_INPUT"
        assert "base_url" in str(report.diagnostics[0].hint)


@pytest.mark.parametrize("product", ["jira", "confluence"])
def test_a_used_up_refresh_token_is_a_denial_that_says_what_to_do(product: Any) -> None:
    with simulate(product, frozen=True, **SMALL[product]) as sim:
        strategy = jira_http if product == "jira" else confluence_http
        config = LOGINS["refresh token"](sim) | {"refresh_token": "long-gone"}
        endpoint = Endpoint(endpoint_id="x", template=strategy.descriptor.template, config=config)
        report = strategy.test(endpoint)
        assert not report.ok
        assert report.diagnostics[0].code == "E_SOURCE_DENIED"
        assert "refresh" in f"{report.diagnostics[0].message} {report.diagnostics[0].hint}"
        assert "long-gone" not in str(report)


@pytest.mark.parametrize(
    ("config", "field"),
    [
        ({}, "base_url"),
        ({"base_url": "https://x", "site": "https://x"}, "base_url"),
        ({"site": "x.atlassian.net"}, "site"),
        ({"base_url": "https://x", "username": None}, "username"),
        ({"base_url": "https://x", "api_token": None}, "api_token"),
        ({"base_url": "https://x", "auth_type": "oauth", "api_token": None}, "api_token"),
        ({"base_url": "https://x", "auth_type": "oauth", "client_id": "a"}, "client_secret"),
        ({"base_url": "https://x", "auth_type": "oauth", "client_id": "a", "client_secret": "b"}, "refresh_token"),
        ({"base_url": "https://x", "auth_type": "client_credentials"}, "client_id"),
        ({"base_url": "https://x", "client_id": "a"}, "client_id"),
        ({"base_url": "https://x", "proxy": "gopher://x"}, "proxy"),
        ({"base_url": "https://x", "client_key": "k"}, "client_cert"),
        ({"site": "https://x", "cloud_id": "../x"}, "cloud_id"),
        ({"base_url": "https://x", "cloud_id": "x"}, "cloud_id"),
    ],
)
def test_a_login_that_is_not_whole_is_refused_by_field(config: dict[str, Any], field: str) -> None:
    given = {"username": "u", "api_token": "hidden-token", **config}
    endpoint = Endpoint(endpoint_id="j", template="jira.http", config={k: v for k, v in given.items() if v is not None})
    with pytest.raises(ConfigError, match=field) as caught:
        list(jira_http.collect(endpoint))
    assert "hidden-token" not in str(caught.value)


def test_a_bad_file_of_certificates_is_a_mistake_of_the_configuration(tmp_path: Path) -> None:
    path = str(tmp_path / "own-ca.pem")
    config = {"base_url": "https://127.0.0.1:9", "username": "u", "api_token": "t", "verify_tls": path}
    for strategy in (jira_http, confluence_http):
        endpoint = Endpoint(endpoint_id="x", template=strategy.descriptor.template, config=config)
        report = strategy.test(endpoint)
        assert [(one.code, path in one.message) for one in report.diagnostics] == [("E_BAD_INPUT", True)]
        with pytest.raises(ConfigError, match="own-ca"):
            list(strategy.collect(endpoint))
