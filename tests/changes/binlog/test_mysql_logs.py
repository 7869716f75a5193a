"""Logs of MySQL, which no server here writes: recorded by others, with what their own readers say of them."""

import gzip
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from ingest_ray.sdk.errors import SourceError
from ingest_strategies.jdbc.mysql.changes.event_kinds import (
    MYSQL_GTID,
    MYSQL_TAGGED_GTID,
    PARTIAL_UPDATE,
    PAYLOAD,
    QUERY,
    TABLE_MAP,
    XA_PREPARE,
    XID,
)
from ingest_strategies.jdbc.mysql.changes.event_stream import Event, EventStream, dump_by_sets
from ingest_strategies.jdbc.mysql.changes.log_part import LogDivision, LogPart
from ingest_strategies.jdbc.mysql.changes.positions import LogPosition
from ingest_strategies.jdbc.mysql.changes.rows import RowDecoder
from ingest_strategies.jdbc.mysql.changes.statements import TargetTable
from ingest_strategies.jdbc.mysql.changes.transactions import TransactionReader, gtid_of

LOGS = Path(__file__).parent / "mysql_logs"
MAGIC = b"\xfebin"


def bytes_of(name: str) -> bytes:
    path = LOGS / name
    return gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()


def events_of(data: bytes) -> Iterator[Event]:
    """As a server sends them: each after a byte that says OK."""

    def unchanged(error: Exception) -> Any:
        return error

    assert data[:4] == MAGIC
    stream = EventStream(None, "shop", unchanged)
    stream._file, stream._offset, at = "bin.000001", 4, 4
    while at < len(data):
        size = int.from_bytes(data[at + 9 : at + 13], "little")
        event = stream._event(b"\0" + data[at : at + size])
        at += size
        if event is not None:
            yield event


class Utf8:
    """All text of these logs."""

    def name_of(self, collation: int) -> str:
        return "utf8mb4"

    def converter(self, charset: str | None) -> None:
        return None


def dataset(named: str, **columns: str) -> Any:
    kinds = {column: kind.split("(")[0].split(" ")[0] for column, kind in columns.items()}
    listed = [SimpleNamespace(name=column, source_type=kind) for column, kind in columns.items()]
    return SimpleNamespace(name=named, columns=listed, facts={"types": kinds, "charsets": {}})


def changes_of(log: str, schema: str, table: str, **columns: str) -> list[Any]:
    """Read as from the server, and from a part of it that has all tables: the same."""
    target, data = TargetTable(schema, table), bytes_of(log)
    found = list(TransactionReader(target, table).read(events_of(data)))
    part = LogPart(LogPosition("bin.000001", 4, "1@1"))
    division = LogDivision(part, target, table, frozenset(), 2**30)
    for event in events_of(data):
        for _ in division.add(event):
            part.upper = LogPosition(event.file, event.offset, "1@1")
    divided = list(TransactionReader(target, table).read(part.events(target, part.lower, part.upper)))
    assert [one for one in divided if one.items] == [one for one in found if one.items]
    decoder = RowDecoder(dataset(table, **columns), Utf8())  # type: ignore[arg-type]
    return [change for transaction in found for change in decoder.changes(transaction)]


def test_a_compressed_transaction_of_mysql_8_is_read() -> None:
    texts = {f"c{number}": "varchar(1024)" for number in range(4, 10)}
    (change,) = changes_of(
        "mysql-8.0.28-compressed", "demo", "movies", id="int", name="varchar(255)", year="int", country="varchar(255)",
        kind="varchar(255)", **texts,
    )  # fmt: skip
    assert (change.op, change.committed_us, change.is_whole_old) == ("update", 1_646_406_641_000_000, True)
    assert change.old[:5] == [b"1", b"Once Upon a Time in the West", b"1968", b"Italy", b"Western"]
    assert change.new[4] == b"Western|Action"
    assert change.new[6:] == [b"Sergio Leone", b"Ennio Morricone", *change.old[8:]]


def test_the_rows_of_an_old_mysql_are_read() -> None:
    actors = changes_of(
        "mysql-5.5.27-sakila.gz", "sakila", "actor", actor_id="smallint unsigned", first_name="varchar(45)",
        last_name="varchar(45)", last_update="timestamp",
    )  # fmt: skip
    assert len(actors) == 200
    assert actors[0].new == [b"1", b"PENELOPE", b"GUINESS", b"2006-02-15 03:34:33"]
    films = changes_of(
        "mysql-5.5.27-sakila.gz", "sakila", "film", film_id="smallint unsigned", title="varchar(255)", description="text",
        release_year="year", language_id="tinyint unsigned", original_language_id="tinyint unsigned",
        rental_duration="tinyint unsigned", rental_rate="decimal(4,2)", length="smallint unsigned",
        replacement_cost="decimal(5,2)", rating="enum('G','PG','PG-13','R','NC-17')",
        special_features="set('Trailers','Commentaries','Deleted Scenes','Behind the Scenes')", last_update="timestamp",
    )  # fmt: skip
    assert len(films) == 1000
    first = films[0].new
    assert first[:2] == [b"1", b"ACADEMY DINOSAUR"]
    assert first[3:12] == [b"2006", b"1", None, b"6", b"0.99", b"86", b"20.99", b"PG", b"Deleted Scenes,Behind the Scenes"]  # fmt: skip


def test_padding_of_aurora_is_passed() -> None:
    assert [event.kind for event in events_of(bytes_of("aurora-5.7.12-padding"))] == [15, 35, 34, 100, 2]


GTIDS = {  # of MysqlGtidEventDataDeserializerTest: as MySQL 8.0.1, 8.0.2 and 8.1.0 write them
    "aae57b2f-8e44-11ee-a3d6-a036bcda1a41:4": "01aae57b2f8e4411eea3d6a036bcda1a4104000000000000000203000000000000000400000000000000"
    "97ef0c253f0b06",
    "994ab859-8ea8-11ee-a568-a036bcda1a41:3": "00994ab8598ea811eea568a036bcda1a4103000000000000000202000000000000000300000000000000"
    "405504c4480b06fc3401",
    "bd9794e0-1d65-11ed-a7e7-0adb305b3a12:9": "00bd9794e01d6511eda7e70adb305b3a1209000000000000000207000000000000000800000000000000"
    "6629aa69550906fc3b01e4380100",
}  # fmt: skip


@pytest.mark.parametrize("text", GTIDS)
def test_gtids_of_mysql_are_read(text: str) -> None:
    found = gtid_of(Event(MYSQL_GTID, 0, 1, "bin.000001", 100, bytes.fromhex(GTIDS[text])))
    assert found is not None
    assert f"{found.uuid}:{found.number}" == text


def test_sets_of_gtids_are_asked_for_as_mysql_writes_them() -> None:
    """The bytes are those of PreviousGtidSetDeserializerTest: the server writes a set into each file in the same form."""
    text = "b5cd1624-5f30-11e4-b4e9-1051721bd241:1-7081968,bb421d26-5f30-11e4-b4e9-d89d672b2ef8:1-7823824"
    written = (
        "0200000000000000b5cd16245f3011e4b4e91051721bd24101000000000000000100000000000000f10f6c0000000000"
        "bb421d265f3011e4b4e9d89d672b2ef801000000000000000100000000000000d161770000000000"
    )
    asked = dump_by_sets(LogPosition("bin.000001", 4, "", text))
    assert asked.endswith((len(written) // 2).to_bytes(4, "little") + bytes.fromhex(written))


def test_changed_bytes_are_refused() -> None:
    data = bytearray(bytes_of("mysql-8.0.28-compressed"))
    data[-100] ^= 1
    with pytest.raises(SourceError, match="wrong checksum"):
        list(events_of(bytes(data)))


def test_an_unknown_kind_of_event_is_refused_unless_it_may_be_left_out() -> None:
    data = bytes_of("mysql-5.5.27-sakila.gz")
    at = 4 + int.from_bytes(data[13:17], "little")
    unknown = data[: at + 4] + b"\xc8" + data[at + 5 :]
    with pytest.raises(SourceError, match=r"kind 200 at bin\.000001"):
        list(events_of(unknown))
    flagged = unknown[: at + 17] + b"\x80" + unknown[at + 18 :]
    assert [event.kind for event in events_of(flagged)][1] == 200


def test_another_compression_is_refused_by_its_number() -> None:
    body = bytes([2, 1, 7, 3, 1, 5, 0]) + b"rest."
    with pytest.raises(SourceError, match="method 7"):
        list(TransactionReader(TargetTable("a", "b"), "b").read([Event(PAYLOAD, 0, 1, "f", 9, body)]))


@pytest.mark.parametrize(
    ("kind", "said"), [(PARTIAL_UPDATE, "parts of JSON values"), (MYSQL_TAGGED_GTID, "GTIDs with tags")]
)
def test_what_is_not_read_is_a_stop_and_never_a_gap(kind: int, said: str) -> None:
    data = bytes_of("mysql-5.5.27-sakila.gz")
    target = TargetTable("sakila", "actor")
    changed = [event._replace(kind=kind) if event.kind == 23 else event for event in events_of(data)]
    part = LogPart(LogPosition("bin.000001", 4, "1@1"))
    division = LogDivision(part, target, "sakila.actor", frozenset(), 2**30)

    def read() -> None:
        for event in changed:
            for _ in division.add(event):
                part.upper = LogPosition(event.file, event.offset, "1@1")
        list(TransactionReader(target, "sakila.actor").read(part.events(target, part.lower, part.upper)))

    with pytest.raises(SourceError, match=said) as caught:
        read()
    assert "sakila.actor" in caught.value.message


def statement(text: str, offset: int) -> Event:
    body = bytes(4) + bytes(4) + b"\x06" + bytes(2) + bytes(2) + b"sakila\0" + text.encode()
    return Event(QUERY, 1_700_000_000, 1, "bin.000001", offset, body)


def gtid(number: int, offset: int) -> Event:
    body = b"\0" + bytes(16) + number.to_bytes(8, "little") + b"\x02" + bytes(16)
    return Event(MYSQL_GTID, 1_700_000_000, 1, "bin.000001", offset, body)


def row_events(offset: int) -> list[Event]:
    """A description of the table and its first rows, as the log has them."""
    found = [event for event in events_of(bytes_of("mysql-5.5.27-sakila.gz")) if event.kind in (TABLE_MAP, 23)]
    return [event._replace(offset=offset + at) for at, event in enumerate(found[:2])]


XA_NAME = b"\0" + bytes([1, 0, 0, 0, 3, 0, 0, 0, 0, 0, 0, 0]) + b"one"


def items_of(events: list[Event]) -> list[tuple[int, int]]:
    """Of each transaction that changes the table: where it ends, and with how many items; from the log, and from a part of it."""
    target = TargetTable("sakila", "actor")
    part = LogPart(LogPosition("bin.000001", 4, "1@1"))
    division = LogDivision(part, target, "sakila.actor", frozenset(), 2**30)
    for event in events:
        for _ in division.add(event):
            part.upper = LogPosition(event.file, event.offset, "1@1")
    whole, divided = (
        [(one.offset, len(one.items)) for one in TransactionReader(target, "t").read(read) if one.items]
        for read in (events, part.events(target, part.lower, part.upper))
    )
    assert whole == divided
    return whole


@pytest.mark.parametrize(("end", "expected"), [("COMMIT", [(200, 1)]), ("ROLLBACK", [])])
def test_rows_of_a_prepared_transaction_of_mysql_count_at_its_commit(end: str, expected: list[tuple[int, int]]) -> None:
    """As `mysqlbinlog` shows them: XA START, the rows, XA END, and an event of its own for XA PREPARE."""
    name = "X'6f6e65',X'',1"
    events = [
        gtid(1, 100), statement(f"XA START {name}", 110), *row_events(120), statement(f"XA END {name}", 130),
        Event(XA_PREPARE, 0, 1, "bin.000001", 140, XA_NAME), gtid(2, 190), statement(f"XA {end} {name}", 200),
    ]  # fmt: skip
    assert items_of(events) == expected


def test_a_table_that_mysql_makes_of_rows_is_one_transaction() -> None:
    create = "CREATE TABLE `actor` (`actor_id` int NOT NULL) START TRANSACTION"
    events = [gtid(1, 100), statement(create, 110), *row_events(120), Event(XID, 0, 1, "bin.000001", 130, bytes(8))]
    assert items_of(events) == [(130, 2)]


def test_a_part_by_gtids_is_whole_whatever_positions_another_server_has() -> None:
    target, lower = TargetTable("sakila", "actor"), LogPosition("bin.000009", 4, "1@1")
    part = LogPart(lower, by_gtids=True)
    division = LogDivision(part, target, "sakila.actor", frozenset(), 2**30)
    begin = gtid(1, 100), statement("BEGIN", 110)
    for event in (*begin, *row_events(120), Event(XID, 0, 1, "bin.000001", 130, bytes(8))):
        list(division.add(event))
    part.upper = LogPosition("bin.000001", 7, "2@2")
    found = TransactionReader(target, "t").read(part.events(target, lower, part.upper))
    assert [len(one.items) for one in found] == [1]
