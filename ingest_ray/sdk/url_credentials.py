"""Finds what must not be shown of a URL: passwords and tokens before the host, and parameters whose names say that they are secret.

Forms: RFC 3986, JDBC (`;name=value`, `jdbc:oracle:thin:user/password@`), libpq's `name=value` texts
(https://www.postgresql.org/docs/current/libpq-connect.html#LIBPQ-CONNSTRING), signed URLs of object stores (S3, Google, Azure SAS:
https://learn.microsoft.com/rest/api/storageservices/create-service-sas).
"""

import re
from collections.abc import Callable
from urllib.parse import unquote

HIDDEN = "***"

# Greedy up to the last `@`: unescaped passwords may contain any character.
_USERINFO = re.compile(r"(//[^:/@?#\s]*:)(.*)(?=@)", re.DOTALL)
_TOKEN_AS_USER = re.compile(r"(\b(?:https?|wss?|git|ftp)://)([^:/@?#\s]+)(?=@)", re.IGNORECASE)  # `https://TOKEN@host`
_THIN = re.compile(r"(:thin:[^/@\s]+/)(.+)(?=@)", re.DOTALL)
_BEFORE_HOST = (_USERINFO, _TOKEN_AS_USER, _THIN)

_PARAMETER = re.compile(r"([?&;#]\s*)([^=&;#?]+?)(\s*=\s*)(\{(?:[^}]|\}\})*\}|[^&;#]*)")
_WORD = re.compile(r"((?:^|\s)\s*)(\w+)(\s*=\s*)('(?:[^'\\]|\\.)*'|\S+)")  # libpq: `host=db password='a b'`

_ENDINGS = (
    "password",
    "passwd",
    "passwort",
    "pwd",
    "passphrase",
    "secret",
    "secretkey",
    "secretaccesskey",
    "token",
    "apikey",
    "accesskey",
    "accesskeyid",
    "accountkey",
    "privatekey",
    "sharedkey",
    "authkey",
    "signature",
    "credential",
    "credentials",
    "jwt",
)
_NAMES = frozenset(("pass", "sig", "sas", "bearer", "authorization", "sharedaccesssignature"))
_NAMES_IN_HTTP = frozenset(("key", "code", "auth"))  # of Google, Azure Functions, Firebase


def is_secret_name(name: str, *, is_http: bool = False) -> bool:
    """True for `password`, `X-Amz-Security-Token`, `AWSAccessKeyId`, `sig`; `is_http`: also for `key`, which is a column elsewhere."""
    bare = re.sub(r"[^a-z]", "", unquote(name).lower())
    return bare.endswith(_ENDINGS) or bare in _NAMES or (is_http and bare in _NAMES_IN_HTTP)


def credentials_of(url: str) -> tuple[str, ...]:
    """The passwords, tokens and signatures in a URL, as written and unescaped; empty without one."""
    found: list[str] = []

    def note(secret: str) -> str:
        found.append(secret)
        return HIDDEN

    _replaced(_bare(url), note)
    spelled = (form for raw in found for form in (raw, unquote(raw), raw.strip("{}'")))
    return tuple(dict.fromkeys(form for form in spelled if form and form != HIDDEN))


def has_credentials(url: str) -> bool:
    return bool(credentials_of(url))


def shown_url(url: str) -> str:
    """The URL with `***` in the place of each secret."""
    return _replaced(_bare(url), lambda _: HIDDEN)


def plain_uri(uri: str) -> str:
    """The URI itself, for fields whose value is written into handles, states and rows. Raises `ValueError` for one with credentials."""
    if has_credentials(uri):
        raise ValueError(
            "must not hold a password, key or signature, because it is stored and shown: give them in the fields for secrets, "
            "or to the process (environment variables, the role of the machine)"
        )
    return uri


def _replaced(url: str, replacement: Callable[[str], str]) -> str:
    is_http = url.lower().startswith(("http://", "https://"))
    for pattern in _BEFORE_HOST:
        url = pattern.sub(lambda match: match[1] + _of(match[2], replacement), url)

    def parameter(match: re.Match[str]) -> str:
        is_secret = is_secret_name(match[2], is_http=is_http)
        return match[1] + match[2] + match[3] + (_of(match[4], replacement) if is_secret else match[4])

    url = _PARAMETER.sub(parameter, url)
    return url if "://" in url or ":thin:" in url else _WORD.sub(parameter, url)


def _of(secret: str, replacement: Callable[[str], str]) -> str:
    return secret if secret in ("", HIDDEN) else replacement(secret)


def _bare(url: str) -> str:
    """The URL itself, or the unquoted connection string in one of its parameters (`odbc_connect=`)."""
    plain = unquote(url)
    if plain == url or _has_any(url):
        return url
    return plain if _has_any(plain) else url


def _has_any(url: str) -> bool:
    found: list[str] = []
    _replaced(url, lambda secret: found.append(secret) or HIDDEN)  # type: ignore[func-returns-value]
    return bool(found)
