"""The fields of a policy in groups, each with a sentence that says what it is for. docs/configuration.md says more."""

GROUPS: dict[str, list[str]] = {
    "Reading": (
        [
            "cursor",
            "cursors",
            "fallback",
            "lookback",
            "lag",
            "cursor_zone",
            "cursor_nulls",
            "where",
            "columns",
            "exclude_columns",
            "snapshot",
        ]
    ),
    "Writing": ["write", "primary_key", "rename", "mask", "deletes", "on_schema_change", "allow_lossy", "keep_staging"],
    "Limits": [
        "max_attempts",
        "max_parallel",
        "max_connections",
        "target_slice_bytes",
        "max_quarantined_rows",
        "max_quarantine_fraction",
        "max_delete_fraction",
        "max_retained_mb",
    ],
    "Checks": ["fresh_within", "verify_every", "verify_rows"],
}

TITLES = {"cursors": "Candidates", "cursor_zone": "Time zone", "cursor_nulls": "Rows without a value in it"}

HELP: dict[str, str] = {
    "cursor": "The column that grows with every change. Empty: the source has its own, or the unit is read whole.",
    "cursors": "Candidates instead of one cursor: the first that the dataset has.",
    "fallback": "full: a dataset without such a cursor is read whole and replaced. Empty: it is refused.",
    "lookback": "What is read again below the watermark: 10m, 36h, 2d, or a number in the cursor's units. Empty: the source's default.",
    "lag": "A safety distance of the horizon, such as 5m, where the source has no exact one. Empty: the source's default.",
    "cursor_zone": "The time zone that a cursor without one is written in, such as Europe/Berlin. Empty: unknown.",
    "cursor_nulls": "Rows without a value in the cursor are read, left out, or an error.",
    "where": "A condition in the source's own language: only its rows are read.",
    "columns": "The columns that are read. None chosen: all.",
    "exclude_columns": "Columns that are never read.",
    "snapshot": "One snapshot of the source for all slices of a run, where the source has snapshots.",
    "write": "append, upsert by the key, replace, or history: every version by the key. Empty: a full run replaces; an incremental one upserts where there is a key, else appends.",
    "primary_key": "The columns that name a row. None chosen: the dataset's primary key.",
    "rename": "Names in the target, one a line: old: new",
    "mask": "Columns whose values are replaced before they are stored, one a line: email: hmac (or redact, last4, year)",
    "deletes": "What becomes of rows that are gone at the source: marked with _deleted_at, or deleted.",
    "on_schema_change": "When the dataset changes: follow (evolve), stop (freeze), leave new columns out, or set changed rows aside.",
    "allow_lossy": "Consent to types that lose something on the way; the plan shows which.",
    "keep_staging": "In CDM mode: how long rows are kept after a run, so that they can be mapped again: 7d.",
    "max_attempts": "Attempts per slice before the run fails.",
    "max_parallel": "Readers at once. Empty: as many as there are CPUs.",
    "max_connections": "Connections to the source at once, over all runs, at least 2. Empty: no cap.",
    "target_slice_bytes": "The size that slices are cut for, in bytes.",
    "max_quarantined_rows": "A run with more rows that do not fit fails.",
    "max_quarantine_fraction": "A run that replaces its table fails with a larger part of its rows in quarantine, from 0 to 1.",
    "max_delete_fraction": "A larger part of the sink's rows is not erased without consent, from 0 to 1.",
    "max_retained_mb": "A run that reads the database's log stops when more of the log is retained for it. Empty: no bound.",
    "fresh_within": "The unit is late when its last successful run began longer ago than this, such as 1h. Empty: no promise.",
    "verify_every": "After a run, the unit is compared with its sink when the last comparison is older, such as 1d. 0: never.",
    "verify_rows": "Such a comparison compares values, too, not only keys.",
}
