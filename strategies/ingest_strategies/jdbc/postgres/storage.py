"""Whether a relation's rows were moved or redefined while it was read.

The planner's snapshot blocks no DDL. After TRUNCATE, or an ALTER TABLE that rewrites, an older snapshot shows a table without rows
(https://www.postgresql.org/docs/current/mvcc-caveats.html); after VACUUM FULL or CLUSTER, rows have other physical addresses.
Each of them gives the relation another file.
"""

from ingest_ray.sdk.types import Dataset
from ingest_strategies.jdbc.dialect import Session
from ingest_strategies.jdbc.standard_sql import StandardSql, quoted_text

# The relation, what inherits from it, and what a view selects from, with the file and the definition of each.
_STORAGE = """
WITH RECURSIVE family(oid) AS (
  SELECT {relation}::regclass::oid
  UNION
  SELECT next.oid FROM family f CROSS JOIN LATERAL (
    SELECT i.inhrelid FROM pg_inherits i WHERE i.inhparent = f.oid
    UNION ALL
    SELECT d.refobjid FROM pg_class v JOIN pg_rewrite r ON r.ev_class = v.oid JOIN pg_depend d
      ON d.classid = 'pg_rewrite'::regclass AND d.objid = r.oid AND d.refclassid = 'pg_class'::regclass
    WHERE v.oid = f.oid AND v.relkind = 'v') next(oid))
SELECT md5(string_agg(concat_ws(' ', c.oid, c.relkind, c.relfilenode, c.relrowsecurity,
  (SELECT string_agg(r.oid || '-' || r.xmin, ',' ORDER BY r.oid) FROM pg_rewrite r WHERE r.ev_class = c.oid),
  (SELECT string_agg(p.oid || '-' || p.xmin, ',' ORDER BY p.oid) FROM pg_policy p WHERE p.polrelid = c.oid)),
  ';' ORDER BY c.oid)) FROM pg_class c JOIN family f ON f.oid = c.oid"""


def read_storage(session: Session, dataset: Dataset) -> str:
    """A digest that changes with every rewrite; to be read outside of the snapshot, which would show the old state.

    Raises:
        SourceChanged: the relation is gone.
    """
    return str(session.rows(_STORAGE.format(relation=quoted_text(StandardSql().table(dataset))))[0][0])
