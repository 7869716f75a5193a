"""Slices of a first load: which position of the log belongs to the snapshot that each is read in."""

from copy import copy

from ingest_ray.sdk.errors import SourceUnavailable
from ingest_ray.sdk.types import Slice, UnitSpec
from ingest_strategies.jdbc.dialect import Dialect, Session
from ingest_strategies.jdbc.mysql.changes.gtids import GtidState
from ingest_strategies.jdbc.mysql.changes.positions import LogPosition
from ingest_strategies.jdbc.mysql.changes.server import LogServer, read_gtids, read_server, read_snapshot_position


class PositionedDialect:
    """A dialect whose readers of a load note the position that belongs to their snapshot, where the server tells it: changes of a row
    below it are in the row already."""

    def __init__(self, dialect: Dialect, piece: Slice) -> None:
        hint = piece.hints.get("begun")
        items = [item for item in hint if isinstance(item, int | str)] if isinstance(hint, list) else []
        self._begun = LogPosition.parse(tuple(items)) if items else None
        self.number = self._begun.number if self._begun is not None else 0
        self._of_snapshot = dialect.enter_snapshot
        self.dialect = copy(dialect)
        vars(self.dialect)["enter_snapshot"] = self._enter_snapshot

    def _enter_snapshot(self, session: Session, spec: UnitSpec, snapshot: str | None) -> None:
        self._of_snapshot(session, spec, snapshot)
        server = read_server(session)
        if server.is_mariadb:
            file, offset = read_snapshot_position(session)
            self.number = LogPosition(file, offset, "").number
            self._require_all(session, spec, server, file, offset)

    def _require_all(self, session: Session, spec: UnitSpec, server: LogServer, file: str, offset: int) -> None:
        """Raises `SourceUnavailable` where another server answers that has not applied all that is below the load's position."""
        if self._begun is None or server.server_id == self._begun.server_id:
            return
        state = GtidState.parse(read_gtids(session, server, file, offset, {}))
        if not state.covers(self._begun.state):
            raise SourceUnavailable(
                f"{spec.unit_id}: another server answers, which has the transactions up to {state} only, and the load began at"
                f" {self._begun.gtids}",
                hint="name one server as 'host'",
            )
