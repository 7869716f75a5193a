"""The replication slots that this installation may have made in a database, whether a unit needs them or not."""

from collections.abc import Sequence

from ingest_ray.sdk.contracts import KeptLog
from ingest_ray.sdk.types import Endpoint
from ingest_strategies.jdbc.config import parse_config
from ingest_strategies.jdbc.dialect import Session
from ingest_strategies.jdbc.postgres.config import PostgresConfig
from ingest_strategies.jdbc.standard_sql import quoted, quoted_text

_SLOTS = """
SELECT slot_name::text, coalesce(wal_status, ''), active,
  coalesce(pg_wal_lsn_diff(CASE WHEN pg_is_in_recovery() THEN pg_last_wal_replay_lsn() ELSE pg_current_wal_flush_lsn() END,
    restart_lsn), -1)::bigint,
  EXISTS (SELECT FROM pg_publication p WHERE p.pubname = slot_name)
FROM pg_replication_slots
WHERE slot_type = 'logical' AND plugin = 'pgoutput' AND database = current_database() AND slot_name ~ {pattern} ORDER BY 1"""


def list_slots(session: Session, endpoint: Endpoint) -> Sequence[KeptLog]:
    """Those whose names begin with the endpoint's `slot_prefix` and end as ours do; also of endpoints that are gone."""
    prefix = parse_config(PostgresConfig, endpoint).slot_prefix
    pattern = quoted_text(f"^{prefix}_.*_[0-9a-f]{{10}}$")
    return [
        KeptLog(
            name=name,
            state=status,
            retained_bytes=max(0, retained) if retained != -1 else None,
            removal=f"SELECT pg_drop_replication_slot({quoted_text(name)})"
            + (f"; DROP PUBLICATION {quoted(name)}" if is_published else ""),
        )
        for name, status, _, retained, is_published in session.rows(_SLOTS.format(pattern=pattern))
    ]
