"""The sources of the campaign: each a real server that can be killed, behind a proxy, with a writer that changes it.

source         what the campaign needs of each source
writer         changes a source continuously, also across crashes
orders_table   the table of both databases, and its rows as they are in the lake
postgres, mariadb, jira
"""

from collections.abc import Callable
from random import Random

from tests.faults.sources.jira import JiraSource
from tests.faults.sources.mariadb import MariaSource
from tests.faults.sources.postgres import PostgresSource
from tests.faults.sources.source import Source

SOURCES: dict[str, Callable[[Random, int], Source]] = {
    "postgres": PostgresSource,
    "mariadb": MariaSource,
    "jira": JiraSource,
}
"""`SOURCES[name](random, rows)`: `rows` is the size of the table; a site has fewer issues, each of several rows."""
