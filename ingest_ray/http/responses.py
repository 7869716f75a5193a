"""Checks responses: one that is no data is a typed error, never an empty result."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

from ingest_ray.http import rate_limit_headers
from ingest_ray.http.errors import (
    BadRequest,
    BrokenAnswer,
    EndpointGone,
    LoginPage,
    NotThere,
    Refused,
    RequestTooLarge,
    ScopeMissing,
)
from ingest_ray.sdk.errors import SourceDenied, SourceError

LOGIN_REASON = "x-seraph-loginreason"
"""Seraph is the login of Jira and Confluence: any value but OK means that the request was handled without its account.
https://docs.atlassian.com/atlassian-seraph/latest/apidocs/com/atlassian/seraph/auth/LoginReason.html"""
LOGIN = "check the endpoint's user and token, and that no CAPTCHA is due"
SSO = "the login was not taken: check the token, and that single sign-on lets API requests with a token through"
_LOGIN_PATH = re.compile(
    r"/(log-?in|sign-?in|external-login|saml2?|sso|adfs|authorize)(\.(jspa?|action|do))?(/|\?|$)"
    r"|[?&](os_destination|samlrequest|redirect_uri)=",
    re.IGNORECASE,
)
"""Where a site without a session leads people: its own login, or an identity provider. https://github.com/apache/devlake/issues/8704"""
_MOST_TEXT = 300  # characters of a server's message in an error


@dataclass(frozen=True)
class Answer:
    """`url` is without its query."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    url: str

    @property
    def content_type(self) -> str:
        return self.headers.get("content-type", "").partition(";")[0].strip().lower()

    @property
    def is_json(self) -> bool:
        return self.content_type == "application/json" or self.content_type.endswith("+json")


def checked(answer: Answer) -> Answer:
    """Returns the response if it is data.

    Raises:
        SourceDenied: 401, 403, a login page, or an account that was not accepted, whatever the status is.
        BadRequest, RequestTooLarge, NotThere, EndpointGone, Refused, BrokenAnswer, SourceError: by status.
    """
    reason = answer.headers.get(LOGIN_REASON, "OK").upper()
    if reason != "OK":
        raise denied(answer, f"the login was not accepted ({reason})")
    if answer.status >= 300:
        raise error_of(answer)
    if not answer.is_json:
        if answer.content_type == "text/html":
            raise LoginPage(f"{answer.url}: a login page, or another page for people, came instead of data", hint=LOGIN)
        raise BrokenAnswer(f"{answer.url}: content type '{answer.content_type}' is not JSON")
    return answer


@dataclass(frozen=True)
class Part:
    """A part of a file, and the length of the whole file."""

    body: bytes
    total: int


def part_of(answer: Answer, first: int, media_type: str | None) -> Part:
    """The part in a response. A server without range support sends the whole file: the part is cut out of it.

    Raises:
        LoginPage: an HTML page came in place of another type.
        BrokenAnswer: the body does not match its header.
        Others as `checked` does, by status.
    """
    if answer.headers.get(LOGIN_REASON, "OK").upper() != "OK":
        raise denied(answer, "the login was not accepted")
    if answer.status == 416 and (total := _length(answer)) == first:
        return Part(b"", total)
    if answer.status >= 300:
        raise error_of(answer)
    if answer.content_type == "text/html" and media_type is not None and "html" not in media_type:
        raise LoginPage(f"{answer.url}: a login page, or another page for people, came instead of a file", hint=LOGIN)
    if answer.status != 206:
        return Part(answer.body[first:], len(answer.body))
    total = _length(answer)
    begins = answer.headers.get("content-range", "").removeprefix("bytes ").partition("-")[0]
    if total is None or begins != str(first) or not answer.body:
        raise BrokenAnswer(f"{answer.url}: a part that does not say what it is of")
    return Part(answer.body, total)


def _length(answer: Answer) -> int | None:
    text = answer.headers.get("content-range", "").rpartition("/")[2]
    return int(text) if text.isdecimal() else None


def denied(answer: Answer, what: str) -> SourceDenied:
    return SourceDenied(f"{answer.url}: {what}", hint=LOGIN)


def lacks_scope(answer: Answer) -> bool:
    """True for a login that is good and may not call this endpoint. Atlassian's gateway does not translate this text.

    https://github.com/kovetskiy/mark/issues/917; RFC 6750 names `insufficient_scope`.
    """
    if answer.status not in (401, 403):
        return False
    failure = f"{answer.headers.get('x-failure-category', '')} {answer.headers.get('www-authenticate', '')}".lower()
    return (
        "scope_check" in failure or "insufficient_scope" in failure or "scope does not match" in words(answer).lower()
    )


def leads_to_login(answer: Answer) -> bool:
    """Whether a redirect leads to a page where people log in, instead of to the data or another address of it."""
    target = urlsplit(answer.headers.get("location", ""))
    if urlsplit(answer.url.rpartition(" ")[2]).path == target.path:
        return False  # http to https, or another host name
    return bool(_LOGIN_PATH.search(f"{target.path}?{target.query}"))


def is_login_refused(answer: Answer) -> bool:
    """True where another login might do: not for a missing scope."""
    failed = answer.headers.get(LOGIN_REASON, "OK").upper() == "AUTHENTICATED_FAILED"
    return failed or (answer.status == 401 and not lacks_scope(answer))


def error_of(answer: Answer) -> SourceError:
    said = words(answer)
    text = f"{answer.url}: {answer.status}{f': {said}' if said else ''}"
    wait_s = rate_limit_headers.read(answer.status, answer.headers).wait_s
    match answer.status:
        case 401 | 403 if lacks_scope(answer):
            return ScopeMissing(text, hint="the token lacks a scope: give it one, or leave out what needs it")
        case 401 | 403:
            return denied(answer, f"{answer.status}{f': {said}' if said else ''}")
        case 404:
            return NotThere(text, hint="it is not there, or this account may not see it")
        case 410:
            return EndpointGone(
                text, hint="the API was removed at the source; a newer version of ingest_ray may know another"
            )
        case 413 | 414:
            return RequestTooLarge(text)
        case 429:
            return Refused(text, retry_after_s=wait_s)
        case status if status >= 500:
            return BrokenAnswer(text, retry_after_s=wait_s)
        case status if status < 400 and leads_to_login(answer):
            return LoginPage(f"{answer.url}: {status}, to a login page, came instead of data", hint=SSO)
        case status if status < 400:
            return SourceError(f"{text}: a redirect that is not followed", hint="check base_url: scheme, host and path")
        case _:
            return BadRequest(text)


def words(answer: Answer) -> str:
    """The server's error message for people. It is localized, so no decision depends on it."""
    if not answer.is_json:
        return ""
    try:
        document = json.loads(answer.body)
    except ValueError:
        return ""
    if not isinstance(document, dict):
        return ""
    listed = document.get("errorMessages") or []
    named = document.get("errors") or {}
    parts = [str(text) for text in listed] if isinstance(listed, list) else []
    if isinstance(named, dict):
        parts += [f"{name}: {text}" for name, text in named.items()]
    elif isinstance(named, list):
        parts += [str(item.get("title") or item.get("message") or "") for item in named if isinstance(item, dict)]
    parts += [str(document[name]) for name in ("title", "detail", "message", "error") if document.get(name)]
    return "; ".join(dict.fromkeys(part for part in parts if part))[:_MOST_TEXT]
