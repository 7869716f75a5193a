"""Section C of the conformance list for PostgreSQL: rows that change between and during runs arrive, each once."""

import threading
import time
from collections import Counter
from typing import Any

import pytest

from ingest_ray.sdk.errors import ConfigError, ModeUnsupported
from ingest_ray.sdk.types import Effect, Interval, Learned, WriteMode
from ingest_ray.testing.dry_run import Rehearsal, Stopped
from ingest_ray.testing.servers.postgres import Postgres

TIMED = "CREATE TABLE t (id serial PRIMARY KEY, v text, ts {0} DEFAULT now())"


def ids(rehearsal: Rehearsal) -> list[int]:
    return sorted(row["id"] for row in rehearsal.outcome.rows)


def run(rehearsal: Rehearsal) -> list[int]:
    rehearsal.run()
    return ids(rehearsal)


def source_rows(pg: Postgres) -> dict[int, str]:
    return {row[0]: row[1] for row in pg.run("SELECT id, v FROM t")}


def sink_rows(rehearsal: Rehearsal) -> dict[int, str]:
    return {row["id"]: row["v"] for row in rehearsal.sink.values()}


@pytest.mark.parametrize("kind", ["timestamptz", "timestamp", "timestamptz(0)"])
def test_a_second_run_over_an_unchanged_table_has_no_slices(kind: str, pg: Postgres, pg_unit: Any) -> None:
    pg.run(TIMED.format(kind))
    pg.run("INSERT INTO t (v) SELECT 'v' || i FROM generate_series(1, 50) i")
    time.sleep(1.6 if kind.endswith("(0)") else 0)  # rounded half a second ahead, and the horizon a whole one behind
    rehearsal = pg_unit("t", cursor="ts")
    assert run(rehearsal) == list(range(1, 51))
    assert len(rehearsal.outcome.slices) == 5
    assert run(rehearsal) == []
    assert rehearsal.outcome.slices == []


@pytest.mark.parametrize("is_append", [False, True])
def test_c29_a_full_load_then_changes_have_neither_gap_nor_double(is_append: bool, pg: Postgres, pg_unit: Any) -> None:
    pg.run(TIMED.format("timestamptz"))
    pg.run("INSERT INTO t (v) SELECT 'v' || i FROM generate_series(1, 50) i")
    rehearsal = pg_unit("t", cursor="ts", write="append" if is_append else "upsert")

    def insert(done: int) -> None:
        pg.run(f"INSERT INTO t (v) VALUES ('during {done}')")

    rehearsal.run(between=insert)
    pg.run("INSERT INTO t (v) SELECT 'w' || i FROM generate_series(1, 25) i")
    if not is_append:
        pg.run("UPDATE t SET v = 'changed', ts = now() WHERE id % 10 = 0")
    rehearsal.run()
    rehearsal.run()
    assert sink_rows(rehearsal) == source_rows(pg)
    if is_append:
        assert Counter(row["id"] for row in rehearsal.appended) == Counter(list(source_rows(pg)))
    assert run(rehearsal) == []


@pytest.mark.parametrize("is_append", [False, True])
@pytest.mark.parametrize("cursor", ["ts", "id"])
def test_c21_a_transaction_open_across_two_runs_is_found(
    is_append: bool, cursor: str, pg: Postgres, pg_unit: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ingest_strategies.jdbc.postgres.horizon.LOCK_WAIT_S", 0.1)
    pg.run(TIMED.format("timestamptz"))
    pg.run("INSERT INTO t (v) SELECT 'v' || i FROM generate_series(1, 20) i")
    rehearsal = pg_unit("t", cursor=cursor, write="append" if is_append else "upsert")
    rehearsal.run()
    late = pg.connect()
    pg.run("BEGIN", late)
    pg.run("INSERT INTO t (v) VALUES ('late')", late)
    pg.run("INSERT INTO t (v) SELECT 'early' || i FROM generate_series(1, 5) i")
    rehearsal.run()
    pg.run("INSERT INTO t (v) SELECT 'middle' || i FROM generate_series(1, 5) i")
    rehearsal.run()
    assert 21 not in ids(rehearsal)
    late.commit()
    rehearsal.run()
    rehearsal.run()
    assert sink_rows(rehearsal) == source_rows(pg)
    assert 21 in sink_rows(rehearsal)
    if is_append:
        assert Counter(row["id"] for row in rehearsal.appended) == Counter(list(source_rows(pg)))
    assert run(rehearsal) == []


def test_c21_a_transaction_open_before_the_first_load_is_found(pg: Postgres, pg_unit: Any) -> None:
    pg.run(TIMED.format("timestamptz"))
    late = pg.connect()
    pg.run("BEGIN", late)
    pg.run("INSERT INTO t (v) VALUES ('late')", late)
    pg.run("INSERT INTO t (v) SELECT 'v' || i FROM generate_series(1, 20) i")
    rehearsal = pg_unit("t", cursor="ts", write="append")
    rehearsal.run()
    late.commit()
    rehearsal.run()
    rehearsal.run()
    assert Counter(row["id"] for row in rehearsal.appended) == Counter(list(source_rows(pg)))


def test_c20_a_row_committed_between_horizon_and_snapshot_is_found(pg: Postgres, pg_unit: Any) -> None:
    pg.run(TIMED.format("timestamptz"))
    pg.run("INSERT INTO t (v) SELECT 'v' || i FROM generate_series(1, 20) i")
    rehearsal = pg_unit("t", cursor="ts")
    rehearsal.run()
    stop = threading.Event()
    writer = pg.connect()

    def write() -> None:
        while not stop.is_set():
            pg.run("BEGIN", writer)
            pg.run("INSERT INTO t (v) VALUES ('busy')", writer)
            time.sleep(0.01)
            writer.commit()

    thread = threading.Thread(target=write)
    thread.start()
    runs = 0
    while runs < 6 or len(source_rows(pg)) <= 40:
        rehearsal.run()
        runs += 1
    stop.set()
    thread.join()
    rehearsal.run()
    assert sink_rows(rehearsal) == source_rows(pg)


@pytest.mark.parametrize("cursor", ["ts", "id"])
def test_c21_a_prepared_transaction_is_found(
    cursor: str, pg: Postgres, pg_unit: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ingest_strategies.jdbc.postgres.horizon.LOCK_WAIT_S", 0.1)
    pg.run(TIMED.format("timestamptz"))
    pg.run("INSERT INTO t (v) SELECT 'v' || i FROM generate_series(1, 20) i")
    late = pg.connect()
    pg.run("BEGIN", late)
    pg.run("INSERT INTO t (v) VALUES ('late')", late)
    time.sleep(0.1)
    pg.run("PREPARE TRANSACTION 'held'", late)
    rehearsal = pg_unit("t", cursor=cursor)
    rehearsal.run()
    pg.run("INSERT INTO t (v) VALUES ('after')")
    rehearsal.run()
    note = rehearsal.outcome.probe.horizon.note  # type: ignore[union-attr]
    assert "prepared transaction" in note
    pg.run("COMMIT PREPARED 'held'")
    rehearsal.run()
    assert sink_rows(rehearsal) == source_rows(pg)


def test_c21_a_counter_waits_for_a_writer_that_ends_soon(pg: Postgres, pg_unit: Any) -> None:
    pg.run(TIMED.format("timestamptz"))
    pg.run("INSERT INTO t (v) SELECT 'v' || i FROM generate_series(1, 20) i")
    rehearsal = pg_unit("t", cursor="id")
    rehearsal.run()
    late = pg.connect()
    pg.run("BEGIN", late)
    pg.run("INSERT INTO t (v) VALUES ('late')", late)
    pg.run("INSERT INTO t (v) VALUES ('after')")
    timer = threading.Timer(0.5, late.commit)
    timer.start()
    rehearsal.run()
    timer.join()
    assert ids(rehearsal) == [21, 22]
    assert rehearsal.outcome.probe is not None
    assert rehearsal.outcome.probe.horizon is not None
    assert rehearsal.outcome.probe.horizon.value == (23,)


def test_c19_ties_at_the_watermark_on_both_sides_of_a_run(pg: Postgres, pg_unit: Any) -> None:
    pg.run("CREATE TABLE t (id serial PRIMARY KEY, v text, batch integer)")
    pg.run("INSERT INTO t (v, batch) SELECT 'v', i / 10 FROM generate_series(0, 49) i")
    for write in ("upsert", "append"):
        rehearsal = pg_unit("t", cursor="batch", write=write)
        rehearsal.run()
        before = pg.run("SELECT max(batch) FROM t")[0][0]
        pg.run(f"INSERT INTO t (v, batch) SELECT 'tie', {before} FROM generate_series(1, 5)")
        rehearsal.run()
        pg.run(f"INSERT INTO t (v, batch) SELECT 'more', {before} FROM generate_series(1, 5)")
        pg.run(f"INSERT INTO t (v, batch) VALUES ('next', {before + 1})")
        rehearsal.run()
        pg.run(f"INSERT INTO t (v, batch) VALUES ('last', {before + 2})")
        rehearsal.run()
        newest = max(source_rows(pg))
        expected = {k: v for k, v in source_rows(pg).items() if write == "upsert" or k != newest}
        assert sink_rows(rehearsal) == expected
        if write == "append":
            assert Counter(row["id"] for row in rehearsal.appended) == Counter(list(expected))


def test_c19_a_group_of_ties_larger_than_a_slice_is_one_slice(pg: Postgres, pg_unit: Any) -> None:
    pg.run("CREATE TABLE t (id serial PRIMARY KEY, v text, c integer)")
    rehearsal = pg_unit("t", cursor="c")
    rehearsal.run()
    pg.run("INSERT INTO t (v, c) SELECT 'v', greatest(0, i - 60) FROM generate_series(1, 90) i")
    rehearsal.run()
    assert ids(rehearsal) == list(range(1, 91))
    groups = [
        Counter(
            row["c"]
            for batch in rehearsal.read(piece.model_copy(update={"snapshot": None}))
            for row in batch.to_pylist()
        )
        for piece in rehearsal.outcome.slices
    ]
    assert sum(len(group) for group in groups) == len({value for group in groups for value in group})
    assert 4 <= len(groups) <= 6


@pytest.mark.parametrize("indexed", [False, True])
def test_c22_a_late_row_in_the_lookback_is_found_in_new_and_old_intervals(
    indexed: bool, pg: Postgres, pg_unit: Any
) -> None:
    pg.run(TIMED.format("timestamptz"))
    if indexed:
        pg.run("CREATE INDEX ON t (ts)")
    pg.run("INSERT INTO t (v) VALUES ('first')")
    rehearsal = pg_unit("t", cursor="ts", lookback="1h", rows_per_slice=3)
    rehearsal.run()
    for number in range(3):
        pg.run(f"INSERT INTO t (v) VALUES ('newer {number}')")
        rehearsal.run()
    pg.run("INSERT INTO t (v, ts) SELECT 'late', now() - i * interval '7 minutes' FROM generate_series(0, 7) i")
    pg.run("INSERT INTO t (v, ts) VALUES ('too late', now() - interval '2 hours')")
    rehearsal.run()
    expected = {k: v for k, v in source_rows(pg).items() if v != "too late"}
    assert sink_rows(rehearsal) == expected
    assert {scope.effect for scope in rehearsal.outcome.scopes} >= {Effect.REPEAT}


def test_c22_an_unfinished_lookback_is_repeated(pg: Postgres, pg_unit: Any) -> None:
    pg.run(TIMED.format("timestamptz"))
    pg.run("INSERT INTO t (v, ts) SELECT 'v', now() - i * interval '1 minute' FROM generate_series(1, 30) i")
    rehearsal = pg_unit("t", cursor="ts", lookback="10m", rows_per_slice=3)
    rehearsal.run()
    with pytest.raises(Stopped):
        rehearsal.run(stop_after=1)
    owed = [scope for scope in rehearsal.states["all"].scopes if scope.effect is Effect.REPEAT]
    assert len(owed) == 1
    pg.run("UPDATE t SET v = 'late' WHERE id <= 9")
    pg.run("INSERT INTO t (v, ts) VALUES ('new', now())")
    with pytest.raises(Stopped):
        rehearsal.run(stop_after=1)
    rehearsal.run()
    assert sink_rows(rehearsal) == source_rows(pg)
    assert not [scope for scope in rehearsal.states["all"].scopes if scope.effect is Effect.REPEAT]


def test_c22_an_unfinished_lookback_is_repeated_after_the_window_has_moved(pg: Postgres, pg_unit: Any) -> None:
    pg.run("CREATE TABLE t (id serial PRIMARY KEY, v text, c integer UNIQUE)")
    pg.run("INSERT INTO t (v, c) SELECT 'v', i FROM generate_series(1, 100) i")
    rehearsal = pg_unit("t", cursor="c", lookback=20, rows_per_slice=10)
    rehearsal.run()
    pg.run("INSERT INTO t (v, c) VALUES ('new', 150)")
    pg.run("UPDATE t SET v = 'late' WHERE c BETWEEN 82 AND 100")
    with pytest.raises(Stopped):
        rehearsal.run(stop_after=1)
    rehearsal.run()
    assert {scope.scope_id for scope in rehearsal.outcome.scopes} == {"repeat-1", "repeat-2"}
    assert sink_rows(rehearsal) == source_rows(pg)


def test_c23_a_failed_middle_slice_is_read_again_and_no_other(pg: Postgres, pg_unit: Any) -> None:
    pg.run("CREATE TABLE t (id serial PRIMARY KEY, v text, c integer UNIQUE)")
    rehearsal = pg_unit("t", cursor="c")
    rehearsal.run()
    pg.run("INSERT INTO t (v, c) SELECT 'v', i FROM generate_series(1, 50) i")
    with pytest.raises(Stopped):
        rehearsal.run(order=lambda slices: [*slices[:2], *slices[3:], slices[2]], stop_after=len_of(rehearsal) - 1)
    first = set(ids(rehearsal))
    assert len(first) == 40
    rehearsal.run()
    assert len(rehearsal.outcome.slices) == 1
    assert set(ids(rehearsal)) == set(source_rows(pg)) - first
    assert run(rehearsal) == []


def len_of(rehearsal: Rehearsal) -> int:
    """The number of slices of the next run."""
    twin = Rehearsal(rehearsal.strategy, rehearsal.spec, states=dict(rehearsal.states))
    twin.run()
    return len(twin.outcome.slices)


def test_d34_a_load_that_was_killed_goes_on_under_its_first_horizon(pg: Postgres, pg_unit: Any) -> None:
    pg.run(TIMED.format("timestamptz"))
    pg.run("INSERT INTO t (v) SELECT 'v' || i FROM generate_series(1, 100) i")
    rehearsal = pg_unit("t", cursor="ts")
    with pytest.raises(Stopped):
        rehearsal.run(stop_after=4)
    first = rehearsal.states["all"].scopes[0].horizon
    pg.run("UPDATE t SET v = 'changed', ts = now() WHERE id IN (5, 95)")
    rehearsal.run()
    assert min(ids(rehearsal)) == 41
    assert rehearsal.states["all"].watermark == first
    rehearsal.run()
    assert ids(rehearsal) == [5, 95]
    assert sink_rows(rehearsal) == source_rows(pg)
    assert run(rehearsal) == []


@pytest.mark.parametrize("write", ["upsert", "append"])
def test_a_heap_load_that_was_killed_goes_on_only_where_rows_may_come_twice(
    write: str, pg: Postgres, pg_unit: Any
) -> None:
    pg.run("CREATE TABLE t (id integer, v text, ts timestamptz DEFAULT now(), pad text)")
    pg.run("INSERT INTO t (id, v, pad) SELECT i, 'v', repeat('x', 1000) FROM generate_series(1, 100) i")
    rehearsal = pg_unit("t", cursor="ts", write=write, primary_key=("id",))
    with pytest.raises(Stopped):
        rehearsal.run(stop_after=3)
    rehearsal.appended.clear()
    rehearsal.run()
    if write == "append":
        assert Counter(row["id"] for row in rehearsal.appended) == Counter(range(1, 101))
    else:
        assert len(rehearsal.appended) < 100
    assert sink_rows(rehearsal) == source_rows(pg)
    assert run(rehearsal) == []


def test_a_heap_that_was_rewritten_is_loaded_from_its_start(pg: Postgres, pg_unit: Any) -> None:
    pg.run("CREATE TABLE t (id integer, v text, ts timestamptz DEFAULT now(), pad text)")
    pg.run("INSERT INTO t (id, v, pad) SELECT i, 'v', repeat('x', 1000) FROM generate_series(1, 100) i")
    pg.run("DELETE FROM t WHERE id <= 50")
    rehearsal = pg_unit("t", cursor="ts", primary_key=("id",))
    with pytest.raises(Stopped):
        rehearsal.run(stop_after=4)
    pg.run("VACUUM FULL t")
    rehearsal.run()
    assert sink_rows(rehearsal) == source_rows(pg)


@pytest.mark.parametrize("write", ["upsert", "append"])
def test_c24_null_cursors_included_are_read_once_by_the_load(write: str, pg: Postgres, pg_unit: Any) -> None:
    pg.run(TIMED.format("timestamptz"))
    pg.run("INSERT INTO t (v, ts) SELECT 'v', CASE WHEN i % 3 > 0 THEN now() END FROM generate_series(1, 60) i")
    rehearsal = pg_unit("t", cursor="ts", write=write)
    assert run(rehearsal) == list(range(1, 61))
    pg.run("INSERT INTO t (v, ts) SELECT 'new', NULL FROM generate_series(1, 5) i")
    rehearsal.run()
    if write == "upsert":
        assert sink_rows(rehearsal) == source_rows(pg)
        assert [scope.scope_id for scope in rehearsal.outcome.scopes] == ["nulls"]
    else:
        assert rehearsal.outcome.slices == []


def test_c24_null_cursors_can_be_left_out_or_refused(pg: Postgres, pg_unit: Any) -> None:
    pg.run(TIMED.format("timestamptz"))
    pg.run("INSERT INTO t (v, ts) SELECT 'v', CASE WHEN i % 3 > 0 THEN now() END FROM generate_series(1, 60) i")
    for write in ("upsert", "append"):
        left = pg_unit("t", cursor="ts", cursor_nulls="exclude", write=write)
        assert run(left) == [i for i in range(1, 61) if i % 3]
        assert run(left) == []
    with pytest.raises(ConfigError, match="NULL in 20 rows"):
        pg_unit("t", cursor="ts", cursor_nulls="raise").run()


def test_c24_a_table_of_null_cursors_only(pg: Postgres, pg_unit: Any) -> None:
    pg.run(TIMED.format("timestamptz"))
    pg.run("INSERT INTO t (v, ts) SELECT 'v', NULL FROM generate_series(1, 30) i")
    rehearsal = pg_unit("t", cursor="ts")
    assert run(rehearsal) == list(range(1, 31))
    pg.run("INSERT INTO t (v) VALUES ('dated')")
    rehearsal.run()
    assert sink_rows(rehearsal) == source_rows(pg)


def test_c25_microseconds_and_floats_are_bounds_without_loss(pg: Postgres, pg_unit: Any) -> None:
    pg.run("CREATE TABLE t (id serial PRIMARY KEY, v text, ts timestamptz, f double precision, d numeric)")
    insert = (
        "INSERT INTO t (v, ts, f, d) SELECT 'v', date_trunc('milliseconds', now()) + i * interval '1 us',"
        " 0.1::float8 + i * 1e-16, ('0.' || repeat('0', 30) || lpad(i::text, 3, '0'))::numeric FROM generate_series({0}) i"
    )
    pg.run(insert.format("1, 40"))
    units = [pg_unit("t", cursor=name, rows_per_slice=3, write="append") for name in ("ts", "f", "d")]
    for unit in units:
        unit.run()
    pg.run(insert.format("41, 90"))
    pg.run("INSERT INTO t (v, ts, f, d) VALUES ('top', now(), 1, 1)")
    for unit in units:
        unit.run()
        expected = (
            source_rows(pg)
            if unit.spec.policy.cursor == "ts"
            else {k: v for k, v in source_rows(pg).items() if v != "top"}
        )
        assert Counter(row["id"] for row in unit.appended) == Counter(list(expected)), unit.spec.policy.cursor


def test_c26_a_wall_clock_that_is_set_back_loses_no_row(pg: Postgres, pg_unit: Any) -> None:
    """In a zone that is always about to repeat its hour, the horizon is where the repeated hour begins."""
    pg.run(TIMED.format("timestamp"))
    now = pg.run("SELECT extract(epoch FROM now())::bigint")[0][0]
    # A POSIX zone whose daylight saving time ends soon, one hour back, at a quarter of an hour as in all real zones.
    change = -(-(now + 120) // 900) * 900
    end = time.gmtime(change + 3600)
    zone = f"AAA0BBB,J1/0,J{julian(end)}/{end.tm_hour}:{end.tm_min:02d}:{end.tm_sec:02d}"
    pg.run(f"ALTER DATABASE {pg.name} SET TimeZone = '{zone}'")
    pg.run(f"SET TimeZone = '{zone}'")
    pg.run("INSERT INTO t (v) SELECT 'before' FROM generate_series(1, 5) i")
    rehearsal = pg_unit("t", cursor="ts")
    rehearsal.run()
    pg.run(f"INSERT INTO t (v, ts) SELECT 'in the repeated hour', to_timestamp({change + 300})::timestamp")
    rehearsal.run()
    assert sink_rows(rehearsal) == source_rows(pg)
    wall = pg.run("SELECT now()::timestamp")[0][0]
    horizon = rehearsal.states["all"].watermark
    assert horizon is not None
    assert str(horizon[0]) < wall.isoformat()


def julian(moment: time.struct_time) -> int:
    """Day of the year from 1, never counting 29 February."""
    leap = moment.tm_year % 4 == 0
    return moment.tm_yday - (1 if leap and moment.tm_yday > 59 else 0)


def test_c27_future_rows_and_cursors_that_go_backwards_move_nothing(pg: Postgres, pg_unit: Any) -> None:
    pg.run(TIMED.format("timestamptz"))
    pg.run("INSERT INTO t (v) SELECT 'v' || i FROM generate_series(1, 20) i")
    pg.run("INSERT INTO t (v, ts) VALUES ('future', '2999-01-01'), ('never', 'infinity')")
    rehearsal = pg_unit("t", cursor="ts")
    rehearsal.run()
    assert [reject.raw["ts"] for reject in rehearsal.outcome.rejects] == ["infinity"]
    before = rehearsal.states["all"].watermark
    assert before is not None
    assert str(before[0]) < "2900"
    pg.run("INSERT INTO t (v) VALUES ('today')")
    rehearsal.run()
    assert {scope.scope_id for scope in rehearsal.outcome.scopes} == {"since-1", "ahead"}
    pg.run("UPDATE t SET v = 'moved back', ts = now() - interval '1 year' WHERE id = 3")
    rehearsal.run()
    after = rehearsal.states["all"].watermark
    assert after is not None
    assert str(after[0]) >= str(before[0])
    assert sink_rows(rehearsal)[21] == "future"


def test_c28_reading_a_part_again_leaves_the_watermark_alone(pg: Postgres, pg_unit: Any) -> None:
    pg.run(TIMED.format("timestamptz"))
    pg.run("INSERT INTO t (v) SELECT 'v' || i FROM generate_series(1, 20) i")
    rehearsal = pg_unit("t", cursor="ts", lookback="1h")
    rehearsal.run()
    before = rehearsal.states["all"].watermark
    rehearsal.run()
    assert {scope.effect for scope in rehearsal.outcome.scopes} == {Effect.REPEAT}
    assert rehearsal.states["all"].watermark == before


@pytest.mark.parametrize(
    ("kind", "first", "then"),
    [
        ("date", "current_date - i", "current_date"),
        ("text", "'2026-01-01T00:00:' || lpad(i::text, 2, '0')", "'2026-01-01T00:01:' || lpad(i::text, 2, '0')"),
        ("uuid", "lpad(i::text, 32, '0')::uuid", "lpad((i + 100)::text, 32, '0')::uuid"),
        ("numeric(10,2)", "i / 3.0", "100 + i / 3.0"),
        ("smallint", "i", "i + 100"),
    ],
)
def test_cursors_of_every_kind(kind: str, first: str, then: str, pg: Postgres, pg_unit: Any) -> None:
    pg.run(f"CREATE TABLE t (id serial PRIMARY KEY, v text, c {kind})")
    pg.run(f"INSERT INTO t (v, c) SELECT 'a', {first} FROM generate_series(1, 40) i")
    rehearsal = pg_unit("t", cursor="c")
    rehearsal.run()
    pg.run(f"INSERT INTO t (v, c) SELECT 'b', {then} FROM generate_series(1, 40) i")
    rehearsal.run()
    assert sink_rows(rehearsal) == source_rows(pg)


def test_a3_what_cannot_be_a_cursor_is_refused_before_a_request(pg: Postgres, pg_unit: Any) -> None:
    pg.run("CREATE TABLE t (id serial PRIMARY KEY, j jsonb, ts timestamptz)")
    rehearsal = pg_unit("t", cursor="ts")
    strategy, spec = rehearsal.strategy, rehearsal.spec
    nowhere = spec.endpoint.model_copy(update={"config": {"url": "postgresql://127.0.0.1:1/none"}})

    def with_policy(**policy: Any) -> Any:
        changed = spec.policy.model_copy(update=policy)
        config = spec.config.model_copy(update={"policy": changed})
        return spec.model_copy(update={"config": config, "endpoint": nowhere})

    strategy.check(with_policy())
    for policy, error in [
        ({"cursor": None}, ModeUnsupported),
        ({"cursor": "j"}, ModeUnsupported),
        ({"cursor": "nope"}, ConfigError),
        ({"write": WriteMode.REPLACE}, ModeUnsupported),
        ({"write": WriteMode.APPEND, "lookback": 60}, ConfigError),
        ({"primary_key": ("nope",)}, ConfigError),
        ({"columns": ("nope",)}, ConfigError),
    ]:
        with pytest.raises(error):
            strategy.check(with_policy(**policy))


def test_b16_an_unindexed_cursor_is_cut_in_one_pass(pg: Postgres, pg_unit: Any) -> None:
    pg.run("CREATE TABLE t (id serial PRIMARY KEY, v text, c integer)")
    rehearsal = pg_unit("t", cursor="c", rows_per_slice=7)
    rehearsal.run()
    pg.run("INSERT INTO t (v, c) SELECT 'v', i * 37 % 1009 FROM generate_series(1, 500) i")
    rehearsal.run()
    assert ids(rehearsal) == list(range(1, 501))
    assert len(rehearsal.outcome.slices) == 73
    sizes = [
        sum(b.num_rows for b in rehearsal.read(p.model_copy(update={"snapshot": None})))
        for p in rehearsal.outcome.slices
    ]
    assert max(sizes) <= 8


def test_a_gap_can_be_cut_again_with_learned_sizes(pg: Postgres, pg_unit: Any) -> None:
    pg.run(TIMED.format("timestamptz"))
    pg.run("INSERT INTO t (v) SELECT 'v' || i FROM generate_series(1, 100) i")
    rehearsal = pg_unit("t", cursor="ts")
    spec = rehearsal.spec.model_copy(update={"learned": Learned(bytes_per_row=65536.0)})
    with rehearsal.strategy.probe(rehearsal.spec, {}) as probe:
        scope = rehearsal.strategy.scopes(rehearsal.spec, probe, {})[0]
        assert len(list(rehearsal.strategy.cut(rehearsal.spec, probe, scope, scope.target))) == 10
        inner = Interval(lower=(11,), upper=(21,))
        assert len(list(rehearsal.strategy.cut(spec, probe, scope, inner))) == 10
