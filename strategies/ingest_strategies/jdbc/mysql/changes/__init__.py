"""Changes of MySQL and MariaDB tables from the binary log, written in rows.

A unit's segment is the whole table; a position has the file and the offset of the log, and the GTIDs up to it.
https://mariadb.com/kb/en/replication-protocol/, https://dev.mysql.com/doc/dev/mysql-server/latest/page_protocol_replication.html
"""
