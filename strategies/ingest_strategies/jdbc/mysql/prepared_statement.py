"""A prepared SELECT over a PyMySQL connection, which has no prepared statements of its own.

https://mariadb.com/kb/en/com_stmt_prepare/, https://mariadb.com/kb/en/com_stmt_execute/
"""

import struct
from typing import Any

import pymysql
from pymysql.connections import MySQLResult
from pymysql.protocol import FieldDescriptorPacket

PREPARE, EXECUTE, CLOSE = 0x16, 0x17, 0x19
NO_CURSOR = 0
# ER_UNKNOWN_COM_ERROR, ER_UNSUPPORTED_PS, ER_MAX_PREPARED_STMT_COUNT_REACHED: the server can still run the same text.
REFUSALS = frozenset({1047, 1295, 1461})
SHORTEST_ANSWER = 9  # a mark, the statement's number, the counts of columns and of parameters


class PreparedStatement:
    """`fields` describe its columns as the server sees them before it is executed."""

    def __init__(self, connection: Any, sql: str) -> None:
        """Raises the errors of PyMySQL."""
        self._connection = connection
        connection._execute_command(PREPARE, sql)
        answer = connection._read_packet().get_all_data()
        if len(answer) < SHORTEST_ANSWER:
            connection._force_close()
            raise pymysql.InternalError("a prepared statement that is not of the protocol")
        self._number, columns, self.parameters = struct.unpack_from("<IHH", answer, 1)
        self._read_fields(self.parameters)
        self.fields = self._read_fields(columns)

    def _read_fields(self, count: int) -> list[Any]:
        fields = [self._connection._read_packet(FieldDescriptorPacket) for _ in range(count)]
        if count and not self._connection._read_packet().is_eof_packet():
            self._connection._force_close()
            raise pymysql.InternalError("a prepared statement that is not of the protocol")
        return fields

    def execute(self) -> Any:
        """The result, of which no row was read."""
        result = MySQLResult(self._connection)
        self._connection._execute_command(EXECUTE, struct.pack("<IBI", self._number, NO_CURSOR, 1))
        result.init_unbuffered_query()
        self._connection._result = result
        return result

    def close(self) -> None:
        """The server answers nothing."""
        if self._connection.open:
            self._connection._execute_command(CLOSE, struct.pack("<I", self._number))


def prepare(connection: Any, sql: str) -> PreparedStatement | None:
    """None: the server, or what is between, runs no more of them, or none at all."""
    try:
        return PreparedStatement(connection, sql)
    except pymysql.MySQLError as error:
        if error.args and error.args[0] in REFUSALS:
            return None
        raise
