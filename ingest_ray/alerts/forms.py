"""The body of a message in the form that each kind of receiver takes.

* webhook: `{type, timestamp, data}` of https://www.standardwebhooks.com
* Slack: https://api.slack.com/messaging/webhooks, with `&`, `<` and `>` escaped as
  https://api.slack.com/reference/surfaces/formatting#escaping asks, so that no name of a source becomes a mention or a link
* Teams: an Adaptive Card, https://learn.microsoft.com/en-us/microsoftteams/platform/webhooks-and-connectors/how-to/connectors-using
"""

import json
from typing import Any, Literal

from ingest_ray.alerts.message import Message
from ingest_ray.logs import escape_controls

Form = Literal["webhook", "slack", "teams", "email"]
MOST_TEXT = 8_000  # characters; Teams refuses messages over 28 KiB


def body_of(message: Message, form: Form) -> bytes:
    document = {"webhook": _webhook, "slack": _slack, "teams": _teams}[form](message)
    return json.dumps(document, separators=(",", ":"), ensure_ascii=False).encode()


def plain_text(message: Message) -> str:
    return "\n".join(map(escape_controls, message.lines))[:MOST_TEXT]


def subject_line(message: Message) -> str:
    """One line, so that a name of a source cannot add a header."""
    return escape_controls(message.title)[:200]


def _webhook(message: Message) -> dict[str, Any]:
    data = message.model_dump(mode="json", exclude={"message_id", "kind", "at"})
    return {"type": message.kind, "timestamp": message.at, "data": {**data, "title": message.title}}


def _slack(message: Message) -> dict[str, Any]:
    return {"text": _escaped(f"{subject_line(message)}\n{plain_text(message)}")}


def _escaped(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _teams(message: Message) -> dict[str, Any]:
    color = {"incident.opened": "attention", "incident.recovered": "good", "test": "default"}[message.kind]
    blocks = [
        {
            "type": "TextBlock",
            "text": _without_markdown(subject_line(message)),
            "weight": "bolder",
            "color": color,
            "wrap": True,
        },
        *(
            {"type": "TextBlock", "text": _without_markdown(line), "wrap": True, "spacing": "small"}
            for line in plain_text(message).splitlines()
        ),
    ]
    card = {
        "$schema": "http://adaptivecards.io/schemas/adaptive-card.json",
        "type": "AdaptiveCard",
        "version": "1.4",
        "body": blocks,
    }
    content = {"contentType": "application/vnd.microsoft.card.adaptive", "contentUrl": None, "content": card}
    return {"type": "message", "attachments": [content]}


def _without_markdown(text: str) -> str:
    """Escapes what a card reads as emphasis or a link."""
    return "".join(f"\\{character}" if character in "\\*_[]()~`#" else character for character in text)
