"""What is missing at a server for run mode CHANGES, for `ingest-ray test`: asked of the catalog, nothing is changed."""

from collections.abc import Iterator
from dataclasses import dataclass

from ingest_ray.sdk.types import Diagnostic, Endpoint
from ingest_strategies.jdbc.config import parse_config
from ingest_strategies.jdbc.dialect import Session
from ingest_strategies.jdbc.postgres.changes.slot import MAY_REPLICATE, OLDEST_VERSION
from ingest_strategies.jdbc.postgres.config import PostgresConfig
from ingest_strategies.jdbc.standard_sql import quoted_text

STANDBY_SINCE = 160_000  # logical decoding on a standby

_FACTS = f"""
SELECT current_setting('server_version_num')::bigint, current_setting('wal_level'), pg_is_in_recovery(), ({MAY_REPLICATE}),
  current_setting('max_replication_slots')::bigint, (SELECT count(*) FROM pg_replication_slots),
  has_database_privilege(current_database(), 'CREATE'), current_user::text,
  (SELECT count(*) FROM pg_class c WHERE c.relkind IN ('r', 'p') AND c.oid >= 16384 AND c.relnamespace NOT IN
    (SELECT oid FROM pg_namespace WHERE nspname LIKE 'pg\\_%' OR nspname = 'information_schema')),
  (SELECT count(*) FROM pg_class c WHERE c.relkind IN ('r', 'p') AND c.oid >= 16384 AND pg_has_role(c.relowner, 'USAGE')
    AND c.relnamespace NOT IN (SELECT oid FROM pg_namespace WHERE nspname LIKE 'pg\\_%' OR nspname = 'information_schema')),
  coalesce((SELECT setting || coalesce(unit, '') FROM pg_settings WHERE name = 'idle_replication_slot_timeout' AND setting <> '0'), ''),
  coalesce((SELECT setting FROM pg_settings WHERE name = 'max_slot_wal_keep_size'), '-1')"""


@dataclass(frozen=True)
class ServerFacts:
    version: int
    wal_level: str
    is_standby: bool
    may_replicate: bool
    most_slots: int
    slots: int
    may_create: bool
    role: str
    tables: int
    owned: int
    idle_timeout: str
    keep_size: str


def read_facts(session: Session) -> ServerFacts:
    return ServerFacts(*session.rows(_FACTS)[0])


def diagnose_log(session: Session, endpoint: Endpoint) -> Iterator[Diagnostic]:
    """One sentence where nothing is missing; else one for each thing that is, and how it is given."""
    facts = read_facts(session)
    missing = list(_missing(facts)) + list(_missing_publication(session, endpoint, facts))
    if not missing:
        yield _info("run_mode CHANGES is possible", None)
    for message, hint in missing:
        yield _info(f"run_mode CHANGES: {message}", hint)
    if not missing:
        yield from (_info(f"run_mode CHANGES: {message}", hint) for message, hint in _advice(facts))


def _info(message: str, hint: str | None) -> Diagnostic:
    return Diagnostic(level="info", code="changes", message=message, hint=hint)


def _missing(facts: ServerFacts) -> Iterator[tuple[str, str | None]]:
    if facts.version < OLDEST_VERSION:
        yield "it needs PostgreSQL 14 or newer", None
    if facts.is_standby and facts.version < STANDBY_SINCE:
        yield "the server is a standby, which has slots only from PostgreSQL 16 on", "name the primary as 'host'"
    if facts.wal_level != "logical":
        yield (
            f"the server's wal_level is '{facts.wal_level}'",
            "ALTER SYSTEM SET wal_level = logical, then restart the server; a service has a setting of its own (docs/changes.md)",
        )
    if not facts.may_replicate:
        yield (
            f"role '{facts.role}' may not use replication slots",
            f'ALTER ROLE "{facts.role}" REPLICATION; on RDS and Aurora: GRANT rds_replication',
        )
    if facts.slots >= facts.most_slots:
        yield (
            f"all {facts.most_slots} replication slots of the server are taken (max_replication_slots), and a unit needs one for its first load",
            "drop those that nothing reads (`ingest-ray changes status ENDPOINT` lists ours), or raise the setting: it needs a restart",
        )


def _missing_publication(session: Session, endpoint: Endpoint, facts: ServerFacts) -> Iterator[tuple[str, str | None]]:
    given = parse_config(PostgresConfig, endpoint).publication
    make = "CREATE PUBLICATION ... FOR TABLE ... WITH (publish_via_partition_root = true)"
    if given is not None:
        rows = session.rows(f"SELECT 1::bigint FROM pg_publication WHERE pubname = {quoted_text(given)}")
        if not rows:
            yield f"publication '{given}', which 'publication' of the endpoint names, does not exist", make
        return
    if facts.is_standby:
        yield "a standby cannot make publications", f"{make} on the primary, and name it: 'publication' of the endpoint"
    elif not facts.may_create:
        yield (
            f"role '{facts.role}' may not make publications: it lacks CREATE on the database",
            f"GRANT CREATE ON DATABASE; or an administrator makes one ({make}) and names it: 'publication' of the endpoint",
        )
    elif facts.owned < facts.tables:
        yield (
            f"role '{facts.role}' owns {facts.owned} of {facts.tables} tables, and can publish only its own",
            f"an administrator makes a publication ({make}) and names it: 'publication' of the endpoint",
        )


def _advice(facts: ServerFacts) -> Iterator[tuple[str, str | None]]:
    if facts.idle_timeout:
        yield (
            f"the server drops the log of slots that are idle for {facts.idle_timeout} (idle_replication_slot_timeout)",
            "run units more often than that, or set it to 0",
        )
    if facts.keep_size == "-1":
        yield (
            "the server keeps its log without a bound for a slot that nothing reads (max_slot_wal_keep_size is -1)",
            "set it to what the disk can hold, and policy.max_retained_mb below it",
        )
