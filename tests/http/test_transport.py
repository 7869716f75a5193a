"""Certificates and proxies, with a real TLS server and a real proxy."""

import json
from pathlib import Path
from typing import Any

import pytest

from ingest_ray.http.aimd import Bounds
from ingest_ray.http.client import Auth, Client, Site, Tries
from ingest_ray.http.errors import NoAnswer
from ingest_ray.http.permits import LocalPermits, using
from ingest_ray.http.proxies import is_excepted, proxy_of_environment
from ingest_ray.http.transport import Transport
from ingest_ray.sdk.errors import ConfigError, IngestError
from tests.http.scripted_site import Scripted, serving
from tests.http.tls_site import PASSWORD, Certificates, make_certificates, proxying, serving_tls

QUICK = Tries(failures=1, first_wait_s=0.01)


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return make_certificates(tmp_path_factory.mktemp("tls"))


@pytest.fixture(autouse=True)
def _no_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    for name in ("SSL_CERT_FILE", "SSL_CERT_DIR"):
        monkeypatch.delenv(name, raising=False)


def asked(url: str, **transport: Any) -> Any:
    with using(LocalPermits(Bounds(least_rate=50.0))):
        site = Site(url, Auth("token", "me"), Transport(**transport), timeout_s=5, tries=QUICK)
        with Client(site, 1) as client:
            return client.get("/thing", json.loads)


def test_an_own_authority_is_trusted_and_no_other_is(files: Certificates, monkeypatch: pytest.MonkeyPatch) -> None:
    with serving_tls(files) as url:
        assert asked(url, verify=str(files.authority)) == {"client": ""}
        assert asked(url, verify=False) == {"client": ""}
        with pytest.raises(NoAnswer, match=r"CERTIFICATE_VERIFY_FAILED|certificate verify failed"):
            asked(url)
        monkeypatch.setenv("SSL_CERT_FILE", str(files.authority))
        assert asked(url) == {"client": ""}


def test_a_client_certificate_is_shown_to_the_site(files: Certificates) -> None:
    own = {"client_cert": str(files.client), "client_key": str(files.client_key), "client_key_password": PASSWORD}
    with serving_tls(files, asks_client=True) as url:
        assert asked(url, verify=str(files.authority), **own) == {"client": "reader"}
        with pytest.raises(NoAnswer):
            asked(url, verify=str(files.authority))


@pytest.mark.parametrize("broken", ["missing", "empty", "text", "key", "folder", "binary"])
def test_a_bad_file_of_certificates_is_named_with_its_path(files: Certificates, tmp_path: Path, broken: str) -> None:
    path = tmp_path / "ca.pem"
    match broken:
        case "empty":
            path.write_bytes(b"")
        case "text":
            path.write_text("no certificate")
        case "key":
            path.write_bytes(files.client_key.read_bytes())
        case "folder":
            path.mkdir()
        case "binary":
            path.write_bytes(bytes(range(256)))
    with pytest.raises(ConfigError) as caught:
        asked("https://127.0.0.1:9", verify=str(path))
    assert str(path) in caught.value.message
    assert caught.value.code == "E_BAD_INPUT"


@pytest.mark.parametrize("broken", ["missing", "text", "no key", "other key", "wrong password", "no password"])
def test_a_bad_client_certificate_is_named_with_its_path(files: Certificates, tmp_path: Path, broken: str) -> None:
    text = tmp_path / "text.pem"
    text.write_text("no certificate")
    given: dict[str, Any] = {
        "missing": {"client_cert": str(tmp_path / "none.pem")},
        "text": {"client_cert": str(text)},
        "no key": {"client_cert": str(files.client)},
        "other key": {"client_cert": str(files.client), "client_key": str(files.server)},
        "wrong password": {
            "client_cert": str(files.client),
            "client_key": str(files.client_key),
            "client_key_password": "x",
        },
        "no password": {"client_cert": str(files.client), "client_key": str(files.client_key)},
    }[broken]
    with pytest.raises(ConfigError) as caught:
        asked("https://127.0.0.1:9", **given)
    assert given["client_cert"] in caught.value.message


@pytest.mark.parametrize("by", ["field", "HTTPS_PROXY", "https_proxy", "ALL_PROXY"])
def test_tls_goes_through_a_proxy(files: Certificates, monkeypatch: pytest.MonkeyPatch, by: str) -> None:
    with serving_tls(files) as url, proxying() as proxy:
        field = {"proxy": proxy.url} if by == "field" else {}
        if not field:
            monkeypatch.setenv(by, proxy.url)
        assert asked(url, verify=str(files.authority), **field) == {"client": ""}
        assert proxy.targets == [url.removeprefix("https://")]
        assert asked(url, verify=str(files.authority), proxy="none") == {"client": ""}
        monkeypatch.setenv("NO_PROXY", "example.com, 127.0.0.0/8")
        asked(url, verify=str(files.authority), **field)
        assert len(proxy.targets) == (2 if field else 1), (
            "NO_PROXY is for the variables, not for a proxy that is configured"
        )


def test_plain_http_is_forwarded(monkeypatch: pytest.MonkeyPatch) -> None:
    with serving(Scripted()) as site, proxying() as proxy:
        monkeypatch.setenv("http_proxy", proxy.url.removeprefix("http://"))
        assert asked(site.url) == {"ok": True}
        assert proxy.targets == [f"{site.url}/thing"]


def test_a_proxy_with_a_login(files: Certificates) -> None:
    with serving_tls(files) as url, proxying("user:geheim") as proxy:
        with_login = proxy.url.replace("http://", "http://user:geheim@")
        assert asked(url, verify=str(files.authority), proxy=with_login) == {"client": ""}
        with pytest.raises(IngestError) as caught:
            asked(url, verify=str(files.authority), proxy=proxy.url.replace("http://", "http://user:wrong-one@"))
        assert "407" in caught.value.message
        assert "wrong-one" not in caught.value.message


@pytest.mark.parametrize("text", ["ftp://x:1", "http://", "http://:3128", "http://x:99999", "a b", ""])
def test_what_is_no_proxy_is_refused_without_its_password(text: str) -> None:
    with pytest.raises(ConfigError, match="proxy"):
        asked("https://127.0.0.1:9", proxy=text)


@pytest.mark.parametrize(
    ("no_proxy", "host", "port", "is_direct"),
    [
        ("", "a.example", 443, False),
        ("*", "a.example", 443, True),
        ("example", "a.example", 443, True),
        (".example", "a.example", 443, True),
        ("*.example", "a.example", 443, True),
        ("ample", "a.example", 443, False),
        ("A.Example", "a.example.", None, True),
        ("a.example:8443", "a.example", 443, False),
        ("a.example:8443", "a.example", 8443, True),
        ("b, a.example c", "a.example", 443, True),
        ("10.0.0.0/8", "10.1.2.3", None, True),
        ("10.0.0.0/8", "11.1.2.3", None, False),
        ("10.1.2.3", "10.1.2.3", 80, True),
        ("::1", "::1", 80, True),
        ("[::1]", "[::1]", 80, True),
        ("fe80::/10", "fe80::1", None, True),
        ("127.0.0.1", "localhost", None, False),
    ],
)
def test_no_proxy(no_proxy: str, host: str, port: int | None, is_direct: bool) -> None:
    assert is_excepted(no_proxy, host, port) is is_direct


def test_which_variable_counts() -> None:
    both = {"https_proxy": "http://lower:1", "HTTPS_PROXY": "http://upper:1", "HTTP_PROXY": "http://plain:1"}
    assert proxy_of_environment(both, "https", "x", None) == "http://lower:1"
    assert proxy_of_environment(both, "http", "x", None) == "http://plain:1"
    assert proxy_of_environment({**both, "REQUEST_METHOD": "GET"}, "http", "x", None) is None
    assert proxy_of_environment({"HTTPS_PROXY": ""}, "https", "x", None) is None
    with pytest.raises(ConfigError, match="HTTPS_PROXY"):
        proxy_of_environment({"HTTPS_PROXY": "gopher://x"}, "https", "x", None)
