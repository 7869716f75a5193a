"""Delivers what is in the outbox: each message at least once to its receiver, in order, with longer and longer pauses, then as a dead letter.

An attempt is claimed before it is made, so that of several servers one makes it; a process that dies in between leaves it to the next attempt.
The message keeps its id, by which a receiver knows a repetition.
"""

import logging
from collections import defaultdict
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

from ingest_ray.alerts.delivery import TIMEOUT_S, DeliveryFailed, deliver
from ingest_ray.alerts.message import Message
from ingest_ray.catalog import incidents, notifications
from ingest_ray.catalog.incidents import Incident
from ingest_ray.catalog.notifications import Notification
from ingest_ray.catalog.run_records import instant
from ingest_ray.sdk.errors import ConfigError
from ingest_ray.sdk.types import Model
from ingest_ray.service.installation import Installation, new_id
from ingest_ray.settings import ReceiverSettings

log = logging.getLogger(__name__)

PAUSES_S = (5, 15, 60, 300, 900, 3_600, 10_800, 21_600, 43_200)  # after that, about a day, it is a dead letter
HEAD_WAITS = timedelta(hours=1)  # later messages of a receiver wait so long for one that failed, to stay in order
CLAIM = timedelta(seconds=6 * TIMEOUT_S)
AT_ONCE = 8  # receivers
MOST_PER_ROUND = 20  # messages of one receiver


class Delivered(Model):
    """The result of a test message: `error` None: it was taken."""

    receiver: str
    form: str
    error: str | None = None


class AlertState(Model):
    incidents: tuple[Incident, ...] = ()
    waiting: int = 0
    dead: int = 0


def deliver_due(installation: Installation, now: datetime | None = None) -> int:
    """Returns how many messages were delivered."""
    with installation.catalog.read() as connection:
        found = notifications.waiting(connection)
    by_receiver: dict[str, list[Notification]] = defaultdict(list)
    for notification in found:
        by_receiver[notification.receiver].append(notification)
    if not by_receiver:
        return 0
    known = {receiver.id: receiver for receiver in installation.settings.alerts.receivers}
    with ThreadPoolExecutor(AT_ONCE, thread_name_prefix="alerts") as threads:
        counts = threads.map(
            lambda item: _deliver_to(installation, known.get(item[0]), item[1], now), by_receiver.items()
        )
        return sum(counts)


def _deliver_to(
    installation: Installation, receiver: ReceiverSettings | None, waiting: Iterable[Notification], now: datetime | None
) -> int:
    done = 0
    for notification in list(waiting)[:MOST_PER_ROUND]:
        moment = now or datetime.now(UTC)
        if (notification.next_attempt_at or "") > instant(moment):
            if moment - datetime.fromisoformat(notification.created_at) < HEAD_WAITS:
                return done
            continue
        with installation.catalog.begin() as connection:
            if not notifications.claim(connection, notification, instant(moment + CLAIM)):
                return done  # another server delivers to this receiver
        error = _attempt(installation, receiver, notification)
        with installation.catalog.begin() as connection:
            if error is None:
                notifications.end(connection, notification.notification_id)
                done += 1
                continue
            until = _next_attempt(notification, error, moment)
            notifications.postpone(connection, notification.notification_id, error.reason, until)
        log.warning("alert %s to '%s': %s", notification.notification_id, notification.receiver, error.reason)
        if until is not None:
            return done
    return done


def _attempt(
    installation: Installation, receiver: ReceiverSettings | None, notification: Notification
) -> DeliveryFailed | None:
    if receiver is None:
        return DeliveryFailed("no receiver of that id is configured any more", is_final=True)
    try:
        deliver(Message.model_validate_json(notification.document), receiver, installation.settings)
    except DeliveryFailed as error:
        return error
    return None


def _next_attempt(notification: Notification, error: DeliveryFailed, now: datetime) -> str | None:
    if error.is_final or notification.attempts >= len(PAUSES_S):
        return None
    pause_s = max(PAUSES_S[notification.attempts], error.retry_after_s or 0)
    return instant(now + timedelta(seconds=pause_s))


def send_test_messages(installation: Installation, receiver_id: str | None = None) -> list[Delivered]:
    """Sends a test message at once to one receiver, or to all. Raises `ConfigError` where there is none."""
    known = installation.settings.alerts.receivers
    wanted = [receiver for receiver in known if receiver_id in (None, receiver.id)]
    if not wanted:
        names = ", ".join(receiver.id for receiver in known) or "none"
        missing = "no receiver is configured" if receiver_id is None else f"there is no receiver '{receiver_id}'"
        raise ConfigError(missing, hint=f"alerts.receivers of ingest.yaml; there is: {names}")
    return [_try_receiver(installation, receiver) for receiver in wanted]


def _try_receiver(installation: Installation, receiver: ReceiverSettings) -> Delivered:
    message = Message(
        message_id=f"msg_{new_id()}",
        kind="test",
        at=instant(datetime.now(UTC)),
        condition="failed",
        endpoint_id="",
        total=0,
    )
    try:
        deliver(message, receiver, installation.settings)
    except DeliveryFailed as error:
        return Delivered(receiver=receiver.id, form=receiver.form, error=error.reason)
    return Delivered(receiver=receiver.id, form=receiver.form)


def read_alert_state(installation: Installation, *, only_open: bool = True) -> AlertState:
    """The incidents, the newest first, and how many messages wait or are dead letters."""
    with installation.catalog.read() as connection:
        found = incidents.listed(connection, only_open=only_open)
        waiting, dead = notifications.counted(connection)
    return AlertState(incidents=tuple(found), waiting=waiting, dead=dead)


def list_dead_letters(installation: Installation) -> list[Mapping[str, object]]:
    with installation.catalog.read() as connection:
        found = notifications.dead(connection)
    return [
        {**letter.model_dump(exclude={"document"}), "message": Message.model_validate_json(letter.document).title}
        for letter in found
    ]


def resend_dead_letters(installation: Installation) -> int:
    with installation.catalog.begin() as connection:
        return notifications.revive(connection)
