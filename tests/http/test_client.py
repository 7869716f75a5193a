"""The client against a real server: every answer is data or a typed error; only what is safe is tried again."""

import json
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from ingest_ray.http.aimd import Bounds
from ingest_ray.http.client import Auth, Client, Site, Tries
from ingest_ray.http.errors import BadRequest, BrokenAnswer, EndpointGone, LoginPage, NoAnswer, NotThere, Refused
from ingest_ray.http.permits import LocalPermits, using
from ingest_ray.http.transport import Connections, Transport
from ingest_ray.sdk.errors import IngestError, SourceDenied, SourceError, SourceUnavailable
from tests.http.scripted_site import Scripted, ScriptedSite, serving

TOKEN = "s3cret-token-of-somebody"
QUICK = Tries(first_wait_s=0.01, most_wait_s=0.02)


def asked(site: ScriptedSite, **more: Any) -> Any:
    with using(LocalPermits(Bounds(least_rate=50.0))):
        with Client(Site(site.url, Auth(TOKEN, "me@example.com"), tries=QUICK, timeout_s=5, **more)) as client:
            return client.get("/rest/thing", json.loads, {"where": "x = 1"})


def errors(*messages: str, **fields: str) -> bytes:
    return json.dumps({"errorMessages": messages, "errors": fields}).encode()


HTML = "text/html;charset=UTF-8"
PROBLEM = b'{"type":"about:blank","title":"Not Found","status":404,"detail":"No endpoint GET /x."}'


@pytest.mark.parametrize(
    ("answer", "kind", "says"),
    [
        (Scripted(400, errors("bad jql")), BadRequest, "bad jql"),
        (Scripted(401, errors("log in")), SourceDenied, "401"),
        (Scripted(401, b"<html>no</html>", kind=HTML), SourceDenied, "401"),
        (Scripted(403, errors("no")), SourceDenied, "403"),
        (Scripted(403, b"x", {"X-Seraph-LoginReason": "AUTHENTICATION_DENIED"}, HTML), SourceDenied, "DENIED"),
        (Scripted(404, errors("Issue does not exist")), NotThere, "does not exist"),
        (Scripted(404, PROBLEM, kind="application/problem+json"), NotThere, "No endpoint GET /x."),
        (Scripted(410, errors("The requested API has been removed.")), EndpointGone, "removed"),
        (Scripted(415, b""), BadRequest, "415"),
        (Scripted(200, b'{"issues": []}', {"x-seraph-loginreason": "AUTHENTICATED_FAILED"}), SourceDenied, "FAILED"),
        (Scripted(302, b"", {"location": "https://elsewhere.example/rest/thing"}), SourceError, "redirect"),
        (Scripted(302, b"", {"location": "https://login.example/rest/thing?where=x"}), SourceError, "redirect"),
    ],
)
def test_e50_an_answer_that_is_no_data_is_a_typed_error_at_once(
    answer: Scripted, kind: type[IngestError], says: str
) -> None:
    with serving(answer) as site, pytest.raises(kind, match=says) as caught:
        asked(site)
    assert len(site.seen) == 1
    assert not isinstance(caught.value, SourceUnavailable)
    assert TOKEN not in str(caught.value)
    assert "where" not in str(caught.value), "a query may hold names"


@pytest.mark.parametrize(
    "location",
    [
        "/login.jsp?os_destination=%2Frest",
        "/plugins/servlet/external-login",
        "https://idp.example/adfs/ls?SAMLRequest=x",
        "https://login.example/tenant/oauth2/v2.0/authorize?client_id=1",
        "https://idp.example/app/jira/sso/saml",
    ],
)
def test_a_redirect_to_a_login_is_a_lost_login(location: str) -> None:
    with serving(Scripted(302, b"", {"location": location})) as site:
        with pytest.raises(LoginPage, match="login page") as caught:
            asked(site)
        assert caught.value.code == "E_SOURCE_DENIED"
        assert "single sign-on" in (caught.value.hint or "")
        with Client(Site(site.url, Auth(TOKEN, "me@example.com"), tries=QUICK, timeout_s=5)) as client:
            with pytest.raises(LoginPage):
                client.part("/file.html", 0, 9, "text/html")


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (Scripted(500, errors("Internal server error")), BrokenAnswer),
        (Scripted(502, b"<html>Bad Gateway</html>", kind=HTML), BrokenAnswer),
        (Scripted(200, b'{"issues": [{"id"'), BrokenAnswer),
        (Scripted(200, b'{"x": 1', length=1000), NoAnswer),
        (Scripted(200, b"hello", kind="text/plain"), BrokenAnswer),
        (Scripted(200, b'{"x": "\x00\xff\xfe broken"}'), BrokenAnswer),
    ],
)
def test_a_passing_fault_is_survived_and_a_lasting_one_is_unavailability(
    answer: Scripted, kind: type[IngestError]
) -> None:
    with serving(answer, answer, Scripted()) as site:
        assert asked(site) == {"ok": True}
        assert len(site.seen) == 3
    with serving(answer) as site, pytest.raises(kind) as caught:
        asked(site)
    assert isinstance(caught.value, SourceUnavailable)
    assert len(site.seen) == QUICK.failures


def test_a_login_page_is_believed_when_it_comes_twice() -> None:
    page = Scripted(200, b"<html>Log in</html>", kind=HTML)
    with serving(page, Scripted()) as site:
        assert asked(site) == {"ok": True}
    with serving(page) as site, pytest.raises(LoginPage) as caught:
        asked(site)
    assert isinstance(caught.value, SourceDenied)
    assert len(site.seen) == 2


def test_e52_retry_after_is_obeyed_and_many_refusals_are_survived() -> None:
    refused = Scripted(429, errors("Rate limit exceeded."), {"retry-after": "1"})
    with serving(refused, Scripted()) as site:
        started = time.monotonic()
        assert asked(site) == {"ok": True}
        assert time.monotonic() - started >= 1.0
    quick = Scripted(429, b"{}", {"retry-after": "0"})
    with serving(*[quick] * 8, Scripted()) as site:
        assert asked(site) == {"ok": True}
    with serving(quick) as site, pytest.raises(Refused) as caught:
        asked(site)
    assert len(site.seen) == QUICK.refusals
    assert isinstance(caught.value, SourceUnavailable)


def test_a_server_that_is_not_there_is_unavailable_and_told_without_secrets() -> None:
    with serving(Scripted()) as site:
        pass
    with pytest.raises(NoAnswer) as caught:
        asked(site)
    assert TOKEN not in str(caught.value)


def test_a_body_without_end_is_refused() -> None:
    with serving(Scripted(200, b'"' + b"x" * 100_000 + b'"')) as site, pytest.raises(SourceError, match="larger"):
        asked(site, most_body_bytes=10_000)


def test_login_is_basic_with_a_user_and_bearer_without() -> None:
    with serving(Scripted()) as site, using(LocalPermits()):
        for auth in (Auth("t", "u"), Auth("t")):
            with Client(Site(site.url, auth, tries=QUICK)) as client:
                client.ask("/x", json.loads, {"a": 1})
    assert [headers["authorization"] for _, _, headers, _ in site.seen] == ["Basic dTp0", "Bearer t"]
    assert site.seen[0][0] == "POST"
    assert json.loads(site.seen[0][3]) == {"a": 1}
    assert TOKEN not in repr(Site(site.url, Auth(TOKEN)))


def test_every_request_takes_a_permit_and_gives_it_back() -> None:
    permits = LocalPermits()
    script = [
        Scripted(500, b"{}"),
        Scripted(429, b"{}", {"retry-after": "0"}),
        Scripted(200, b"x", length=9),
        Scripted(),
    ]
    with serving(*script) as site, using(permits):
        with Client(Site(site.url, Auth(TOKEN), tries=QUICK)) as client:
            client.get("/x", json.loads)
    state = permits.states()[0]
    assert (state.requests, state.refusals, state.failures, state.in_flight) == (4, 1, 2, 0)
    assert state.host.partition("@")[0] == site.url.removeprefix("http://")


def test_threads_that_are_redirected_at_once_share_one_client_which_is_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[Connections] = []
    open_client = Transport.open

    def open_slowly(transport: Transport, *arguments: Any) -> Connections:
        time.sleep(0.02)
        opened.append(open_client(transport, *arguments))
        return opened[-1]

    with Client(Site("https://example.com", Auth(TOKEN))) as client:
        monkeypatch.setattr(Transport, "open", open_slowly)
        with ThreadPoolExecutor(4) as threads:
            list(threads.map(lambda _: client._stranger(), range(4)))
    assert [one.is_closed for one in opened] == [True]
