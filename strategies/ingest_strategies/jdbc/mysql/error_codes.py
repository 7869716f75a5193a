"""What error numbers of MySQL and MariaDB mean."""

from ingest_strategies.jdbc.mysql.session import CLEAR_TEXT
from ingest_strategies.jdbc.sessions.faults import ErrorCodes

# https://mariadb.com/kb/en/mariadb-error-code-reference/, https://dev.mysql.com/doc/mysql-errors/8.4/en/server-error-reference.html
ERROR_CODES = ErrorCodes(
    denied=frozenset({1044, 1045, 1130, 1142, 1143, 1227, 1370, 1410, 1698, 1820, 1862, 3118, 3159, CLEAR_TEXT}),
    no_database=frozenset({1049}),
    changed=frozenset({1051, 1054, 1146, 1356}),
    syntax=frozenset({1064, 1305, 1525, 1582}),
    values=frozenset({1267, 1366, 1411, 1690, 1792}),
    locked=frozenset({1205}),
)
