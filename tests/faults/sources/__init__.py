"""The sources of the campaign: each a real server that can be killed, behind a door, with somebody who changes it.

source     what the campaign asks of each
writer     somebody who goes on changing a source, whatever dies
orders     the table that both databases have, and how it comes back from the lake
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
