"""The catalog's tables. Documents are JSON of the project's own models; further columns are for queries.

Times are ISO 8601 in UTC, as text: they sort, and every database keeps them exactly.
"""

import sqlalchemy as sa

SCHEMA = 6

tables = sa.MetaData()

catalog_schema = sa.Table(
    "ingest_catalog",
    tables,
    sa.Column("id", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("number", sa.Integer, nullable=False),
)

endpoints = sa.Table(
    "ingest_endpoints",
    tables,
    sa.Column("endpoint_id", sa.String(200), primary_key=True),
    sa.Column("role", sa.String(10), nullable=False),  # source or sink
    sa.Column("template", sa.String(200), nullable=False),
    sa.Column("vendor", sa.String(200), nullable=False),  # a part of the KV keys
    sa.Column("config", sa.Text, nullable=False),  # secrets are sealed or references
    sa.Column("origin", sa.String(10), nullable=False),  # file: from ingest.yaml, which may also remove it
    sa.Column("created_at", sa.String(40), nullable=False),
    sa.Column("updated_at", sa.String(40), nullable=False),
    sa.Column("deleted_at", sa.String(40)),
    sa.Column("about", sa.Text, nullable=False, server_default="{}"),  # descriptive fields: name, labels, ...
)

unit_rules = sa.Table(
    "ingest_unit_rules",
    tables,
    sa.Column("position", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("endpoint_id", sa.String(200), nullable=False),
    sa.Column("document", sa.Text, nullable=False),
    sa.Column("written_at", sa.String(400), nullable=False),  # file and line
)

unit_configs = sa.Table(
    "ingest_unit_configs",
    tables,
    sa.Column("endpoint_id", sa.String(200), primary_key=True),
    sa.Column("unit_id", sa.String(700), primary_key=True),
    sa.Column("sink_id", sa.String(200), nullable=False),
    sa.Column("document", sa.Text, nullable=False),
    sa.Column("origin", sa.String(10), nullable=False),  # rule: derived from the rules; set: configured individually
    sa.Column("version", sa.Integer, nullable=False),
    sa.Column("updated_at", sa.String(40), nullable=False),
)

datasets = sa.Table(
    "ingest_datasets",
    tables,
    sa.Column("endpoint_id", sa.String(200), primary_key=True),
    sa.Column("name", sa.String(700), primary_key=True),
    sa.Column("version", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("shape", sa.String(100), nullable=False),  # a new shape makes a new version
    sa.Column("document", sa.Text, nullable=False),
    sa.Column("first_seen_at", sa.String(40), nullable=False),
    sa.Column("last_seen_at", sa.String(40), nullable=False),
    sa.Column("gone_at", sa.String(40)),
    sa.Column("is_current", sa.Boolean, nullable=False),
)

unit_datasets = sa.Table(
    "ingest_unit_datasets",
    tables,
    sa.Column("endpoint_id", sa.String(200), primary_key=True),
    sa.Column("unit_id", sa.String(700), primary_key=True),
    sa.Column("sink_id", sa.String(200), primary_key=True),
    sa.Column("document", sa.Text, nullable=False),  # the dataset with which the unit was last run
    sa.Column("updated_at", sa.String(40), nullable=False),
)

runs = sa.Table(
    "ingest_runs",
    tables,
    sa.Column("run_id", sa.String(100), primary_key=True),
    sa.Column("endpoint_id", sa.String(200), nullable=False),
    sa.Column("unit_id", sa.String(700), nullable=False),
    sa.Column("sink_id", sa.String(200), nullable=False),
    sa.Column("state", sa.String(20), nullable=False),
    sa.Column("started_at", sa.String(40), nullable=False),
    sa.Column("finished_at", sa.String(40)),
    sa.Column("owner", sa.Text, nullable=False),  # the process that runs it
    sa.Column("document", sa.Text, nullable=False),
    sa.Column("task", sa.String(20), nullable=False, server_default="ingest"),
    sa.Index("ingest_runs_by_unit", "endpoint_id", "unit_id", "started_at"),
    sa.Index("ingest_runs_by_state", "state"),
    sa.Index("ingest_runs_by_end", "finished_at"),
)

run_lines = sa.Table(
    "ingest_run_lines",
    tables,
    sa.Column("run_id", sa.String(100), primary_key=True),
    sa.Column("request", sa.Text, nullable=False),  # the run request: everything that its process needs
    sa.Column("taken_at", sa.String(40)),  # when another process took the run over
    sa.Column("stop_requested_at", sa.String(40)),
    sa.Column("stop_requested_by", sa.String(200)),
    sa.Column("progress", sa.Text),  # written by the running process
    sa.Column("progressed_at", sa.String(40)),
)

collections = sa.Table(
    "ingest_collections",
    tables,
    sa.Column("collection_id", sa.String(100), primary_key=True),
    sa.Column("endpoint_id", sa.String(200), nullable=False, index=True),
    sa.Column("status", sa.String(20), nullable=False),
    sa.Column("started_at", sa.String(40), nullable=False),
    sa.Column("completed_at", sa.String(40)),
    sa.Column("error", sa.Text),
    sa.Column("found", sa.Integer, nullable=False),
    sa.Column("added", sa.Integer, nullable=False),
    sa.Column("changed", sa.Integer, nullable=False),
    sa.Column("gone", sa.Integer, nullable=False),
    sa.Column("requested_by", sa.String(200)),
    sa.Column("filters", sa.Text),
    sa.Column("owner", sa.Text),  # the process that collects
)

tokens = sa.Table(
    "ingest_tokens",
    tables,
    sa.Column("token_id", sa.String(40), primary_key=True),
    sa.Column("name", sa.String(200), nullable=False),
    sa.Column("role", sa.String(20), nullable=False),
    sa.Column("digest", sa.String(64), nullable=False, unique=True),  # SHA-256; the token itself is not stored
    sa.Column("created_at", sa.String(40), nullable=False),
    sa.Column("expires_at", sa.String(40)),
    sa.Column("revoked_at", sa.String(40)),
    sa.Column("endpoints", sa.Text),  # JSON list of ids and patterns; null: all
)

audit = sa.Table(
    "ingest_audit",
    tables,
    sa.Column("entry_id", sa.String(100), primary_key=True),  # sorts by time
    sa.Column("at", sa.String(40), nullable=False),
    sa.Column("who", sa.String(200), nullable=False),
    sa.Column("role", sa.String(20), nullable=False),
    sa.Column("token_id", sa.String(40)),
    sa.Column("source", sa.String(200), nullable=False),
    sa.Column("action", sa.String(100), nullable=False),
    sa.Column("endpoint_id", sa.String(200)),
    sa.Column("details", sa.Text, nullable=False),
    sa.Column("outcome", sa.String(20), nullable=False),
    sa.Column("code", sa.String(100)),
    sa.Index("ingest_audit_by_time", "at"),
)

schedules = sa.Table(
    "ingest_schedules",
    tables,
    sa.Column("endpoint_id", sa.String(200), primary_key=True),
    sa.Column("unit_id", sa.String(700), primary_key=True),
    sa.Column(
        "last_due", sa.BigInteger
    ),  # the newest slot that was decided about; the process that moves it may start a run
    sa.Column("last_error", sa.Text),  # why the last scheduled run could not start
    sa.Column("held_at", sa.String(40)),
    sa.Column("held_by", sa.String(200)),
)

task_schedules = sa.Table(
    "ingest_task_schedules",  # of other tasks than ordinary runs; holding the unit's schedule holds them
    tables,
    sa.Column("endpoint_id", sa.String(200), primary_key=True),
    sa.Column("unit_id", sa.String(700), primary_key=True),
    sa.Column("task", sa.String(20), primary_key=True),
    sa.Column("last_due", sa.BigInteger),
    sa.Column("last_error", sa.Text),
)

unit_totals = sa.Table(
    "ingest_unit_totals",
    tables,
    sa.Column("endpoint_id", sa.String(200), primary_key=True),
    sa.Column("unit_id", sa.String(700), primary_key=True),
    sa.Column("sink_id", sa.String(200), primary_key=True),
    sa.Column("first_started_at", sa.String(40), nullable=False),  # of ordinary runs, as the next five
    sa.Column("success_started_at", sa.String(40)),  # when the last successful run began to read
    sa.Column("success_at", sa.String(40)),  # when it ended
    sa.Column("newest_row", sa.String(60)),  # the highest watermark that is a time, as the run's summary has it
    sa.Column("failures_in_row", sa.Integer, nullable=False, server_default="0"),
    sa.Column("last_run_id", sa.String(100)),  # that ended
    sa.Column("succeeded", sa.BigInteger, nullable=False, server_default="0"),  # runs of every task, as all below
    sa.Column("failed", sa.BigInteger, nullable=False, server_default="0"),
    sa.Column("paused", sa.BigInteger, nullable=False, server_default="0"),
    sa.Column("rows_read", sa.BigInteger, nullable=False, server_default="0"),
    sa.Column("rows_committed", sa.BigInteger, nullable=False, server_default="0"),
    sa.Column("rows_quarantined", sa.BigInteger, nullable=False, server_default="0"),
    sa.Column("bytes_staged", sa.BigInteger, nullable=False, server_default="0"),
    sa.Column("seconds", sa.Float, nullable=False, server_default="0"),
)

incidents = sa.Table(
    "ingest_incidents",
    tables,
    sa.Column("condition", sa.String(40), primary_key=True),
    sa.Column("endpoint_id", sa.String(200), primary_key=True),
    sa.Column("subject", sa.String(700), primary_key=True),  # the unit, or what else the condition is about
    sa.Column("incident_id", sa.String(100), nullable=False),
    sa.Column("opened_at", sa.String(40), nullable=False),
    sa.Column("closed_at", sa.String(40)),
    sa.Column("document", sa.Text, nullable=False),
)

notifications = sa.Table(
    "ingest_notifications",
    tables,
    sa.Column("notification_id", sa.String(100), primary_key=True),  # sorts by time
    sa.Column("receiver", sa.String(100), nullable=False),
    sa.Column("created_at", sa.String(40), nullable=False),
    sa.Column("document", sa.Text, nullable=False),
    sa.Column("attempts", sa.Integer, nullable=False, server_default="0"),
    sa.Column("next_attempt_at", sa.String(40)),  # null: delivered, or a dead letter
    sa.Column("delivered_at", sa.String(40)),
    sa.Column("dead_at", sa.String(40)),
    sa.Column("last_error", sa.Text),
    sa.Index("ingest_notifications_by_attempt", "next_attempt_at"),
)

periodic_tasks = sa.Table(
    "ingest_periodic_tasks",
    tables,
    sa.Column("name", sa.String(100), primary_key=True),
    sa.Column("claimed_at", sa.String(40), nullable=False),  # by the process that carries it out
    sa.Column("position", sa.String(100)),
)
