"""The kinds of events in a binary log, by their numbers: those that are read, and those that say nothing of rows.

https://dev.mysql.com/doc/dev/mysql-server/latest/binlog__event_8h_source.html, https://mariadb.com/kb/en/2-binlog-event-header/
"""

from typing import Literal

QUERY, XID, TABLE_MAP, EXECUTE_LOAD, XA_PREPARE = 2, 16, 19, 18, 38
ROTATE, FORMAT, HEARTBEAT, HEARTBEAT_2 = 4, 15, 27, 41
INCIDENT, PARTIAL_UPDATE, PAYLOAD = 26, 39, 40
MYSQL_GTID, MYSQL_ANONYMOUS, MARIADB_GTID, START_ENCRYPTION = 33, 34, 162, 164
MYSQL_TAGGED_GTID = 42
MARIADB_QUERY_COMPRESSED = 165
GTIDS = frozenset({MARIADB_GTID, MYSQL_GTID, MYSQL_ANONYMOUS, MYSQL_TAGGED_GTID})
STATEMENTS = frozenset({QUERY, MARIADB_QUERY_COMPRESSED, EXECUTE_LOAD})
RowKind = Literal["insert", "update", "delete"]
ROWS: dict[int, tuple[RowKind, int, bool]] = {  # kind of change, version of the event, is compressed
    23: ("insert", 1, False), 24: ("update", 1, False), 25: ("delete", 1, False),
    30: ("insert", 2, False), 31: ("update", 2, False), 32: ("delete", 2, False),
    166: ("insert", 1, True), 167: ("update", 1, True), 168: ("delete", 1, True),
    169: ("insert", 2, True), 170: ("update", 2, True), 171: ("delete", 2, True),
}  # fmt: skip
_OTHERS = {
    3: "STOP", 5: "INTVAR", 13: "RAND", 14: "USER_VAR", 28: "IGNORABLE", 29: "ROWS_QUERY", 35: "PREVIOUS_GTIDS", 36: "TRANSACTION_CONTEXT",
    37: "VIEW_CHANGE", 160: "ANNOTATE_ROWS", 161: "BINLOG_CHECKPOINT", 163: "GTID_LIST",
    9: "APPEND_BLOCK", 11: "DELETE_FILE", 17: "BEGIN_LOAD_QUERY",  # the file of an EXECUTE_LOAD
    100: "padding of Aurora",
}  # fmt: skip
KNOWN = GTIDS | STATEMENTS | ROWS.keys() | _OTHERS.keys() | {XID, TABLE_MAP, XA_PREPARE, ROTATE, FORMAT, HEARTBEAT, HEARTBEAT_2, INCIDENT,
                                                            PARTIAL_UPDATE, PAYLOAD, START_ENCRYPTION}  # fmt: skip
IGNORABLE = 0x80
"""The flag by which the server marks events that a reader may leave out if it does not know them."""
