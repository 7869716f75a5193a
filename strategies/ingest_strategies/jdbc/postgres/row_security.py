"""Row security policies that apply to the role that reads: the rows that they hide are missing without an error.

https://www.postgresql.org/docs/current/ddl-rowsecurity.html
"""

from collections.abc import Sequence
from typing import Any

from ingest_strategies.jdbc.dialect import Session

# The tables that a relation's rows come from, each with the role whose rights count: a view's tables are read with the rights of
# its owner, where the view does not say otherwise.
_POLICIES = """
WITH RECURSIVE sources(relation, oid, reader) AS (
  SELECT c.oid, c.oid, (SELECT oid FROM pg_roles WHERE rolname = current_user) FROM pg_class c WHERE {start}
  UNION
  SELECT s.relation, d.refobjid, CASE WHEN v.reloptions::text ~ 'security_invoker=(true|on|yes|1)' THEN s.reader ELSE v.relowner END
  FROM sources s JOIN pg_class v ON v.oid = s.oid AND v.relkind = 'v' JOIN pg_rewrite r ON r.ev_class = v.oid
  JOIN pg_depend d ON d.classid = 'pg_rewrite'::regclass AND d.objid = r.oid AND d.refclassid = 'pg_class'::regclass)
SELECT s.relation::bigint, string_agg(DISTINCT n.nspname || '.' || t.relname, ', '), current_user::text
FROM sources s JOIN pg_class t ON t.oid = s.oid JOIN pg_namespace n ON n.oid = t.relnamespace
JOIN pg_roles r ON r.oid = s.reader
WHERE t.relrowsecurity AND NOT r.rolsuper AND NOT r.rolbypassrls
  AND (t.relforcerowsecurity OR NOT pg_has_role(r.oid, t.relowner, 'USAGE'))
GROUP BY 1"""
_EVERY = "c.oid >= 16384 AND c.relkind IN ('r', 'p', 'v') AND EXISTS (SELECT FROM pg_class WHERE relrowsecurity)"


def read_policies(session: Session, relation: str | None = None) -> dict[int, str]:
    """oid -> what a person should know, of one relation (an expression for its oid), or of all."""
    start = _EVERY if relation is None else f"c.oid = {relation}"
    rows: Sequence[tuple[Any, ...]] = session.rows(_POLICIES.format(start=start))
    return {
        oid: f"row security policies of {tables} apply to role '{role}': rows that they hide are not read"
        for oid, tables, role in rows
    }
