"""Delivers one message to one receiver, once. Whether and when it is tried again is decided elsewhere."""

import base64
import hashlib
import hmac
import http.client
import smtplib
import time
import urllib.error
import urllib.request
from email.message import EmailMessage

from ingest_ray import __version__, logs
from ingest_ray.alerts.forms import body_of, plain_text, subject_line
from ingest_ray.alerts.message import Message
from ingest_ray.sdk.errors import IngestError
from ingest_ray.secrets import follow, is_reference
from ingest_ray.settings import ReceiverSettings, Settings

TIMEOUT_S = 10.0
MOST_RETRY_AFTER_S = 3_600.0


class DeliveryFailed(Exception):
    """`is_final`: the receiver wants no message any more (410 Gone). `retry_after_s`: what it asked for."""

    def __init__(self, reason: str = "", *, retry_after_s: float | None = None, is_final: bool = False) -> None:
        super().__init__(reason)
        self.reason, self.retry_after_s, self.is_final = reason, retry_after_s, is_final


def deliver(message: Message, receiver: ReceiverSettings, settings: Settings) -> None:
    """Raises `DeliveryFailed`, without any secret in its reason."""
    try:
        if receiver.form == "email":
            _send_mail(message, receiver, settings)
        else:
            _post(message, receiver, settings)
    except DeliveryFailed as error:
        error.reason = logs.scrub(error.reason)
        raise
    except IngestError as error:  # a secret cannot be read now
        raise DeliveryFailed(logs.scrub(error.message)) from None
    except (OSError, http.client.HTTPException, smtplib.SMTPException, ValueError) as error:
        raise DeliveryFailed(logs.scrub(f"{type(error).__name__}: {error}"[:300])) from None


class _NoRedirects(urllib.request.HTTPRedirectHandler):
    """A signed message goes to the receiver's own address only."""

    def redirect_request(self, *_: object, **__: object) -> None:
        return None


_opener = urllib.request.build_opener(_NoRedirects)


def _post(message: Message, receiver: ReceiverSettings, settings: Settings) -> None:
    body = body_of(message, receiver.form)
    headers = {"Content-Type": "application/json", "User-Agent": f"ingest-ray/{__version__}"}
    if receiver.form == "webhook":
        secret = _secret(receiver.secret, receiver, "secret", settings)
        headers |= signature_headers(message.message_id, body, secret)
    url = _url_of(receiver, settings)
    request = urllib.request.Request(url, data=body, headers=headers, method="POST")
    try:
        with _opener.open(request, timeout=TIMEOUT_S) as answer:
            answer.read(1024)
    except urllib.error.HTTPError as error:
        with error:
            wanted = error.headers.get("Retry-After", "") if error.headers else ""
        retry_after_s = min(float(wanted), MOST_RETRY_AFTER_S) if wanted.isdigit() else None
        raise DeliveryFailed(f"HTTP {error.code}", retry_after_s=retry_after_s, is_final=error.code == 410) from None
    except urllib.error.URLError as error:
        raise DeliveryFailed(f"{type(error.reason).__name__}: {error.reason}"[:300]) from None


def signature_headers(message_id: str, body: bytes, secret: str | None, now: float | None = None) -> dict[str, str]:
    """Those of https://www.standardwebhooks.com: HMAC-SHA-256 over id, time and body. A repeated delivery has the same id.

    `secret`: base64, which may begin with `whsec_`, or any other text. None: no signature.
    """
    stamp = str(int(time.time() if now is None else now))
    headers = {"webhook-id": message_id, "webhook-timestamp": stamp}
    if secret is not None:
        digest = hmac.digest(_key_of(secret), f"{message_id}.{stamp}.".encode() + body, hashlib.sha256)
        headers["webhook-signature"] = f"v1,{base64.b64encode(digest).decode()}"
    return headers


def _key_of(secret: str) -> bytes:
    if not secret.startswith("whsec_"):
        return secret.encode()
    try:
        return base64.b64decode(secret.removeprefix("whsec_"), validate=True)
    except ValueError:
        raise DeliveryFailed("the secret begins with whsec_, and what follows is no base64") from None


def _send_mail(message: Message, receiver: ReceiverSettings, settings: Settings) -> None:
    mail = EmailMessage()
    mail["Subject"], mail["From"], mail["To"] = subject_line(message), receiver.sender, ", ".join(receiver.to)
    mail["Message-ID"] = f"<{message.message_id}@ingest-ray.invalid>"
    mail["Auto-Submitted"] = "auto-generated"  # no out-of-office answers: https://www.rfc-editor.org/rfc/rfc3834
    mail.set_content(f"{subject_line(message)}\n\n{plain_text(message)}\n")
    kind = smtplib.SMTP_SSL if receiver.tls == "tls" else smtplib.SMTP
    with kind(receiver.host or "", receiver.port, timeout=TIMEOUT_S) as server:
        if receiver.tls == "starttls":
            server.starttls()
        password = _secret(receiver.password, receiver, "password", settings)
        if receiver.username is not None and password is not None:
            server.login(receiver.username, password)
        server.send_message(mail)


def _url_of(receiver: ReceiverSettings, settings: Settings) -> str:
    url = receiver.url or ""
    found = _secret(url, receiver, "url", settings) if is_reference(url) else url
    if not (found or "").startswith(("http://", "https://")):
        raise DeliveryFailed("the address is no http or https URL")
    return found or ""


def _secret(reference: str | None, receiver: ReceiverSettings, field: str, settings: Settings) -> str | None:
    return None if reference is None else follow(reference, f"alerts.receivers.{receiver.id}.{field}", settings)
