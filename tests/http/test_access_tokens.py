"""Access tokens: one renewal for all threads and processes, whatever dies or is late."""

import json
import os
import signal
import threading
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ingest_ray.http.access_tokens import CLAIM_S, MOST_QUICK_ENDS, AccessTokens, IssuedToken, TokenGrant
from ingest_ray.http.timing import Timing
from ingest_ray.http.token_endpoint import SecretsOfProcess, issued_token
from ingest_ray.sdk.errors import ConfigError, SourceDenied, SourceUnavailable, StateConflict
from ingest_ray.secrets.keyring import Keyring
from ingest_ray.settings import Settings
from ingest_ray.simulators.atlassian import simulate
from ingest_ray.state.sealed_secrets import PREFIX, SealedSecrets, reseal
from tests.forks import run_module

GRANT = TokenGrant("https://auth.example/token", "app", "app-secret", "refresh-0")
LEEWAY_S = 600.0


@dataclass
class World:
    """A clock, and an authorization server with rotating refresh tokens, as Atlassian documents them."""

    now: float = 1_000_000.0
    life_s: float = 3600.0
    exchanges: int = 0
    used: dict[str, float] = field(default_factory=dict)
    current: str = "refresh-0"
    is_away: bool = False
    lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def timing(self) -> Timing:
        return Timing(lambda: self.now, lambda: self.now, self.sleep)

    def sleep(self, seconds: float) -> None:
        with self.lock:
            self.now += seconds

    def exchange(self, body: Mapping[str, str]) -> IssuedToken:
        with self.lock:
            if self.is_away:
                raise SourceUnavailable("away")
            refresh = body["refresh_token"]
            if refresh in self.used:
                if self.now - self.used[refresh] > LEEWAY_S:
                    raise SourceDenied("invalid_grant: the chain is ended")
            elif refresh != self.current:
                raise SourceDenied("invalid_grant")
            self.used.setdefault(refresh, self.now)
            self.exchanges += 1
            self.current = f"refresh-{self.exchanges}"
            return IssuedToken(f"access-{self.exchanges}", self.life_s, self.current)

    def tokens(self, store: Any) -> AccessTokens:
        return AccessTokens(GRANT, store, self.exchange, self.timing)


def test_a_day_of_hourly_tokens_for_several_processes_is_one_renewal_each() -> None:
    world, store = World(), SecretsOfProcess()
    processes = [world.tokens(store) for _ in range(4)]
    for _ in range(24 * 60):
        for tokens in processes:
            number = int(tokens.current().removeprefix("access-"))
            assert number == world.exchanges
        world.now += 60
    assert world.exchanges in range(24, 28)


def test_many_threads_wait_for_one_renewal() -> None:
    world, store = World(), SecretsOfProcess()
    processes = [world.tokens(store) for _ in range(3)]
    with ThreadPoolExecutor(24) as threads:
        first = set(threads.map(lambda number: processes[number % 3].current(), range(240)))
        assert first == {"access-1"}
        world.now += 1000
        renewed = set(threads.map(lambda number: processes[number % 3].replace("access-1"), range(240)))
    assert (renewed, world.exchanges) == ({"access-2"}, 2)


def test_a_token_that_was_refused_is_replaced_once() -> None:
    world, store = World(), SecretsOfProcess()
    tokens, others = world.tokens(store), world.tokens(store)
    assert tokens.current() == others.current() == "access-1"
    world.now += 1000
    assert tokens.replace("access-1") == "access-2"
    assert tokens.replace("access-1") == "access-2"
    assert others.replace("access-1") == "access-2"
    assert world.exchanges == 2


def test_tokens_that_are_refused_at_once_end_in_a_denial_and_not_in_a_storm() -> None:
    world = World()
    tokens = world.tokens(SecretsOfProcess())
    for _ in range(MOST_QUICK_ENDS):
        tokens.replace(tokens.current())
    refused = tokens.current()
    for _ in range(100):
        with pytest.raises(SourceDenied, match="just after"):
            tokens.replace(refused)
    assert world.exchanges == 1 + MOST_QUICK_ENDS
    world.now += 60
    assert tokens.replace(refused) != refused


class Died(BaseException):
    pass


@dataclass
class Dying:
    """A store whose process dies at its n-th write: before it, or after it."""

    store: SecretsOfProcess
    write_number: int
    after: bool
    identity: str = "dying"
    writes: int = 0

    def read(self, key: str) -> Any:
        return self.store.read(key)

    def write(self, key: str, document: Mapping[str, Any], if_version: int) -> int:
        self.writes += 1
        if self.writes == self.write_number and not self.after:
            raise Died
        version = self.store.write(key, document, if_version)
        if self.writes == self.write_number and self.after:
            raise Died
        return version

    def owner(self) -> str:
        return self.identity

    def is_gone(self, owner: str) -> bool:
        return False


@pytest.mark.parametrize("write_number", [1, 2])
@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize("life", [0, 1])
def test_a_process_that_dies_in_a_renewal_loses_nothing(write_number: int, after: bool, life: int) -> None:
    """`life`: at the first use of the configured refresh token, or at a later renewal."""
    world, store = World(), SecretsOfProcess()
    if life:
        world.tokens(store).current()
        world.now += world.life_s
    with pytest.raises(Died):
        world.tokens(Dying(store, write_number, after)).current()
    exchanges = world.exchanges
    before = world.now
    token = world.tokens(store).current()
    assert world.now - before <= CLAIM_S + 1
    assert CLAIM_S < LEEWAY_S / 5
    assert token == f"access-{world.exchanges}"
    assert world.exchanges <= exchanges + 1
    world.now += world.life_s
    assert world.tokens(store).current() == f"access-{world.exchanges}", "the chain goes on"


def test_a_lost_renewal_that_nobody_repeats_in_time_says_what_to_do() -> None:
    world, store = World(), SecretsOfProcess()
    with pytest.raises(Died):
        world.tokens(Dying(store, 2, after=False)).current()
    world.now += LEEWAY_S + 1
    with pytest.raises(SourceDenied, match="invalid_grant"):
        world.tokens(store).current()


def test_without_the_token_endpoint_a_good_token_is_used_to_its_end() -> None:
    world = World()
    tokens = world.tokens(SecretsOfProcess())
    assert tokens.current() == "access-1"
    world.is_away = True
    world.now += world.life_s - 200
    assert tokens.current() == "access-1"
    world.now += 201
    with pytest.raises(SourceUnavailable):
        tokens.current()
    world.is_away = False
    assert tokens.current() == "access-2"


def test_two_that_exchanged_the_same_refresh_token_agree_on_the_tokens_that_were_written_first() -> None:
    world, store = World(), SecretsOfProcess()
    late = world.tokens(store)
    exchange = late._exchange

    def slow(body: Mapping[str, str]) -> IssuedToken:
        issued = exchange(body)
        world.now += CLAIM_S + 1
        claimed: list[str] = []
        patient = world.tokens(store)
        while not claimed:  # sees the claim, waits, takes it over
            claimed.append(patient.current())
        return issued

    late._exchange = slow  # type: ignore[method-assign]
    assert late.current() == "access-2", "what the other one wrote"
    assert world.exchanges == 2
    world.now += world.life_s
    assert world.tokens(store).current() == "access-3"


@pytest.mark.slow
@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 3), st.floats(0, 4000), st.booleans()), max_size=40), st.floats(3, 4000))
def test_whoever_asks_whenever_gets_a_token_that_is_good(steps: list[tuple[int, float, bool]], life_s: float) -> None:
    world, store = World(life_s=life_s), SecretsOfProcess()
    processes = [world.tokens(store) for _ in range(4)]
    issued_at: dict[str, float] = {}
    for process, passed_s, restarts in steps:
        world.now += passed_s
        if restarts:
            processes[process] = world.tokens(store)
        token = processes[process].current()
        issued_at.setdefault(token, world.now)
        assert world.now < issued_at[token] + life_s


def installation(folder: Path) -> Settings:
    return Settings(home=str(folder), state_url=f"sqlite:///{folder}/state.db")


def test_tokens_are_sealed_at_rest_and_shared_by_objects_of_one_installation(tmp_path: Path) -> None:
    settings, world = installation(tmp_path), World()
    assert world.tokens(SealedSecrets(settings)).current() == "access-1"
    assert world.tokens(SealedSecrets(settings)).current() == "access-1"
    assert world.exchanges == 1
    stored = (tmp_path / "state.db").read_bytes() + b"".join(file.read_bytes() for file in tmp_path.glob("state.db-*"))
    assert b"access-1" not in stored
    assert b"refresh-1" not in stored
    assert PREFIX.encode() in stored
    store = SealedSecrets(settings)
    with pytest.raises(StateConflict):
        store.write(GRANT.key, {}, 99)


def test_a_claim_of_a_process_that_is_gone_is_taken_over_at_once(tmp_path: Path) -> None:
    settings, world = installation(tmp_path), World()
    store = SealedSecrets(settings)
    gone = json.loads(store.owner()) | {"started": "an earlier start"}
    store.write(GRANT.key, {"renewed_by": json.dumps(gone)}, 0)
    before = world.now
    assert world.tokens(store).current() == "access-1"
    assert world.now == before
    assert not store.is_gone(store.owner())
    assert not store.is_gone(json.dumps(gone | {"host": "another"}))
    assert not store.is_gone("something else")


@pytest.mark.slow
@pytest.mark.parametrize("step", ["token:before-exchange", "token:after-exchange"])
def test_a_killed_process_loses_no_refresh_token(tmp_path: Path, step: str) -> None:
    """A real process, killed in the renewal; the next one goes on with the refresh token that it used."""
    with simulate(issues=5, projects=1) as sim:
        login = {"auth_type": "oauth", "refresh_token": "refresh-0", "token_url": sim.token_url, **sim.app}
        config = {"site": sim.url, "gateway_url": sim.url, **login}
        (tmp_path / "ingest.yaml").write_text(
            json.dumps({"endpoints": [{"id": "tracker", "template": "jira.http", "config": config}]})
        )

        def run(*arguments: str, **variables: str) -> int:
            return run_module("ingest_ray.cli", *arguments, env={**os.environ, **variables}, cwd=tmp_path).returncode

        assert run("apply") == 0
        assert run("test", "tracker", INGEST_FAILPOINT=step) == -signal.SIGKILL
        assert run("test", "tracker") == 0
        assert sim.stats()["faults"]["token"] == (1 if step == "token:before-exchange" else 2)


def test_a_new_key_seals_stored_tokens_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings, world = installation(tmp_path), World()
    world.tokens(SealedSecrets(settings)).current()
    old = (tmp_path / "secret.key").read_bytes().split()[0].decode()
    new = "QHk7Z0cyT1VQTlJYUVd3c0J4b0x2b2ZkU0p5bGdZVXU="
    monkeypatch.setenv("INGEST_SECRET_KEY", f"{new},{old}")
    assert reseal(SealedSecrets(settings)._kv, Keyring(settings)) == 1
    monkeypatch.setenv("INGEST_SECRET_KEY", new)
    assert world.tokens(SealedSecrets(settings)).current() == "access-1"
    monkeypatch.setenv("INGEST_SECRET_KEY", old)
    with pytest.raises(ConfigError, match="another key"):
        world.tokens(SealedSecrets(settings)).current()


@pytest.mark.parametrize(
    ("status", "body", "life_s"),
    [
        (200, b'{"access_token": "a", "expires_in": 60}', 60.0),
        (200, b'{"access_token": "a", "expires_in": "60"}', 60.0),
        (200, b'{"access_token": "a"}', 3600.0),
        (200, b'{"access_token": "a", "expires_in": -1, "refresh_token": 5, "scope": null}', 3600.0),
    ],
)
def test_answers_of_a_token_endpoint(status: int, body: bytes, life_s: float) -> None:
    issued = issued_token("https://x", status, body)
    assert (issued.access_token, issued.life_s, issued.refresh_token) == ("a", life_s, None)


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (403, b'{"error": "invalid_grant", "error_description": "Unknown or invalid refresh token."}'),
        (401, b"<html>"),
        (200, b"[]"),
        (200, b'{"access_token": null}'),
        (302, b""),
    ],
)
def test_other_answers_are_denials(status: int, body: bytes) -> None:
    with pytest.raises(SourceDenied, match="https://x"):
        issued_token("https://x", status, body)
