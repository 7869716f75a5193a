"""What a receiver gets: the incidents of one condition and endpoint that were opened, or that are over, since the last message."""

from typing import Literal

from ingest_ray.sdk.types import Model
from ingest_ray.settings import AlertCondition

Kind = Literal["incident.opened", "incident.recovered", "test"]

SENTENCES: dict[AlertCondition, str] = {
    "failed": "failed",
    "late": "is late: its rows are older than promised",
    "drifted": "changed its schema at the source",
    "quarantined": "has rows in quarantine",
    "delete-refused": "has more deleted rows than allowed; none was erased",
    "verify-unequal": "differs from its sink",
    "log-retained": "makes its source keep much of its log, or the log is lost",
    "secret-expires": "expires soon",
}
SHOWN = 20  # incidents in the text of one message
CARRIED = 100  # incidents in the document of one message


class MessageIncident(Model):
    """`text`: the error's message, only where `alerts.details` consents: it may quote values of rows."""

    incident_id: str
    subject: str
    opened_at: str
    closed_at: str | None = None
    run_id: str | None = None
    code: str | None = None
    text: str | None = None
    count: int | None = None
    """Of rows in quarantine; of seconds since the last successful run of a late unit; of megabytes that a source keeps of its log."""


class Message(Model):
    """`total` counts the incidents; `incidents` has the first of them. `endpoint_id`: empty for what belongs to no endpoint."""

    message_id: str
    kind: Kind
    at: str
    condition: AlertCondition
    endpoint_id: str
    total: int
    incidents: tuple[MessageIncident, ...] = ()

    @property
    def title(self) -> str:
        if self.kind == "test":
            return "ingest-ray: a test message"
        what = SENTENCES[self.condition]
        over = "recovered: " if self.kind == "incident.recovered" else ""
        if self.total == 1 and self.incidents:
            return f"{over}{self._named(self.incidents[0])} {what}"
        return f"{over}{self.total} of '{self.endpoint_id}': each {what}"

    @property
    def lines(self) -> list[str]:
        """One line per incident, the first `SHOWN`."""
        if self.kind == "test":
            return ["This receiver works."]
        found = [self._line(incident) for incident in self.incidents[:SHOWN]]
        more = self.total - len(found)
        return [*found, f"and {more} more"] if more else found

    def _line(self, incident: MessageIncident) -> str:
        facts = [
            incident.code,
            f"run {incident.run_id}" if incident.run_id else None,
            f"{incident.count} rows" if incident.count is not None and self.condition == "quarantined" else None,
            f"since {incident.opened_at[:19]}Z",
            f"over at {incident.closed_at[:19]}Z" if incident.closed_at else None,
            incident.text,
        ]
        return f"{self._named(incident)}: {', '.join(fact for fact in facts if fact)}"

    def _named(self, incident: MessageIncident) -> str:
        return f"{self.endpoint_id}:{incident.subject}" if self.endpoint_id else incident.subject
