"""What an object store's errors mean, and what a person can do: the library has one class for most of them, and the cause in its text."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

from ingest_ray.sdk.errors import IngestError


class Cause(NamedTuple):
    """`is_final`: the same request fails again until a person changes something."""

    meaning: str
    hint: str
    is_final: bool = True


class StoreError(OSError):
    """`cause` None: a passing error, or one that is not known."""

    cause: Cause | None = None


_KEYS = "correct the keys: storage_options, the environment (AWS_ACCESS_KEY_ID, ...), or the role of the machine"
_UNREACHABLE = Cause("the endpoint cannot be reached", "check the endpoint's address, the network and its TLS", False)
_CAUSES = (
    (r"NoSuchBucket|ContainerNotFound|The specified bucket does not exist", Cause("the bucket does not exist", "create it, or correct the uri")),
    (
        r"InvalidAccessKeyId|SignatureDoesNotMatch|InvalidToken|ExpiredToken|AuthenticationFailed|InvalidAuthenticationInfo"
        r"|InvalidSecurity|TokenRefreshRequired|401 Unauthorized|invalid_grant",
        Cause("the credentials are wrong or have expired", _KEYS),
    ),
    (r"169\.254\.169\.254|169\.254\.170|metadata\.google|CredentialsNotLoaded|NoCredentialProviders|no credentials", Cause("no credentials were found", _KEYS)),
    (r"PermanentRedirect|AuthorizationHeaderMalformed|IllegalLocationConstraint", Cause("the bucket is in another region", "set aws_region in storage_options, or AWS_REGION")),
    (r"AccessDenied|403 Forbidden|AuthorizationPermissionMismatch|AllAccessDisabled", Cause("access is denied", "grant list, read, write and delete for this place")),
    (r"allow_http|URL scheme is not allowed|BadScheme", Cause("the endpoint has no TLS", "set allow_http: true in storage_options")),
    (r"certificate|InvalidCertificate|UnknownIssuer", Cause("the endpoint's certificate is not trusted", "set root_certificate in storage_options")),
    (r"tcp connect error|dns error|client error \(Connect\)|kind: Connect\b|Connection refused", _UNREACHABLE),
    (r"operation timed out|TimedOut|kind: Timeout\b", Cause("the endpoint does not answer", _UNREACHABLE.hint, False)),
)  # fmt: skip
_PATTERNS = tuple((re.compile(pattern, re.IGNORECASE), cause) for pattern, cause in _CAUSES)


def cause_of(text: str) -> Cause | None:
    return next((cause for pattern, cause in _PATTERNS if pattern.search(text)), None)


def is_final(error: BaseException) -> bool:
    cause = getattr(error, "cause", None)
    return isinstance(cause, Cause) and cause.is_final


@contextmanager
def as_os_errors(uri: str) -> Iterator[None]:
    """Raises `FileNotFoundError` and `StoreError` in place of the library's errors, each with one line of text."""
    try:
        yield
    except Exception as error:
        is_ours = type(error).__module__.startswith("obstore") or isinstance(error, FileNotFoundError)
        if isinstance(error, IngestError) or not is_ours:
            raise
        raise translated(error, uri) from None


def translated(error: Exception, uri: str) -> OSError:
    text = str(error)
    cause = cause_of(text)
    if isinstance(error, FileNotFoundError) and cause is None:
        return FileNotFoundError(uri)
    line = (text.strip().splitlines() or [type(error).__name__])[0]
    found = StoreError(f"{cause.meaning} ({line})" if cause is not None else line)
    found.cause = cause
    return found
