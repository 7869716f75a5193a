"""Executes the planner's SQL on SQLite. Times are whole microseconds since 1970 there, so arithmetic and order stay exact."""

import re

from tests.simulation.databases.database_table import SECOND, wall_time
from tests.simulation.source_table import microseconds

QUARTER_HOUR = 900 * SECOND


def least_wall_time(moment: int, zone: str) -> int:
    """The least wall time of a zone from a quarter of an hour after `moment` on, for three hours."""
    first = moment - moment % (4 * QUARTER_HOUR)
    steps = range(first, moment + 12 * QUARTER_HOUR + 1, QUARTER_HOUR)
    return min(wall_time(step, zone) for step in steps if step > moment)


def from_postgres(sql: str) -> str:
    sql = re.sub(r"'(\d{4}-[^']*)'(?!::)", lambda found: str(microseconds(found[1])), sql)
    sql = re.sub(r"'([^']*)'::timestamp(?:tz)?\b", lambda found: str(microseconds(found[1])), sql)
    sql = re.sub(r"interval '([\d.]+) (seconds|hours)'", _interval, sql)
    sql = re.sub(
        r"\(SELECT min\(u AT TIME ZONE ('[^']*')\) FROM generate_series\(.*?, m \+ interval '3 hours', interval '15 minutes'\) u"
        r" WHERE u > m\)",
        r"least_wall_time(m, \1)",
        sql.replace(str(3 * 3_600 * SECOND), "interval '3 hours'"),
    )
    sql = re.sub(r"extract\(epoch FROM (min|least)\((.*?)\)\)::float8", rf"(min(\2) / {SECOND}.0)", sql)
    sql = sql.replace(" AT TIME ZONE ", " ->> ").replace("least(", "min(").replace("greatest(", "max(")
    return re.sub(r"::\w+(\(\d\))?", "", sql)


def _interval(found: re.Match[str]) -> str:
    return str(round(float(found[1]) * (SECOND if found[2] == "seconds" else 3_600 * SECOND)))


def from_mysql(sql: str) -> str:
    sql = re.sub(r"'(\d{4}-[^']*)'", lambda found: str(microseconds(found[1])), sql)
    sql = re.sub(r"INTERVAL (\d+) SECOND", lambda found: str(int(found[1]) * SECOND), sql)
    sql = sql.replace("INTERVAL 1 MICROSECOND", "1")
    return sql.replace("CAST(", "(").replace(" AS DATETIME(6)", "").replace(" AS CHAR", "")
