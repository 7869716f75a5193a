"""Which tests share a process of pytest-xdist, and which begin first.

`--dist loadgroup` is not used: xdist 3.8 marks a group by a change of `item._nodeid`, which pytest 9.2 no longer reads, so that
every test is a group of its own and every process starts a Ray, a Temporal server and a browser.
https://github.com/pytest-dev/pytest-xdist/blob/v3.8.0/src/xdist/remote.py#L236
"""

import os
from pathlib import Path

from xdist.scheduler import LoadScopeScheduling

# Tests whose node ids begin so run one after the other in one process, since they share servers; the longest beginning counts. First those
# that wait for processes and servers, beside which others compute, and of which at most three start a Ray at once; then the longest
# files, so that the last minute has only short ones. A file that is not named here is a group of its own and comes after these.
GROUPS = (
    "tests/browser/",
    "tests/temporal/",
    "tests/cluster/",
    "tests/cluster/test_nodes.py",
    "tests/cluster/test_a_run_leaves_no_secret.py",
    "tests/cluster/test_lost_ray.py",
    "tests/faults/",
    "tests/services/test_kill_and_resume.py",
    "tests/sinks/test_postgres_crash.py",
    "tests/run/test_postgres_dies.py",
    "tests/sinks/test_mariadb.py",
    "tests/sinks/test_sql_ddl.py",
    "tests/strategies/confluence/test_known_pitfalls.py",
    "tests/strategies/jira/test_known_pitfalls.py",
    "tests/sinks/test_delta.py",
    "tests/sinks/test_duckdb.py",
    "tests/strategies/confluence/test_increments.py",
    "tests/verify/test_sites.py",
    "tests/strategies/jdbc/mysql/test_cursors.py",
    "tests/strategies/confluence/test_suite.py",
    "tests/changes/test_postgres_changes.py",
    "tests/verify/test_types.py",
    "tests/strategies/jira/test_lists.py",
    "tests/strategies/confluence/test_readers.py",
    "tests/strategies/confluence/test_unchanged.py",
    "tests/strategies/test_points.py",
    "tests/changes/shared/",
    "tests/run/test_killed.py",
    "tests/sinks/test_models.py",
    "tests/sinks/test_postgres.py",
    "tests/strategies/test_cdm_runs.py",
    "tests/cli/test_cli.py",
    "tests/kv/test_kv.py",
    "tests/run/test_cdm.py",
    "tests/adoption/test_postgres_copies.py",
    "tests/services/test_main_job.py",
    "tests/strategies/jdbc/postgres/test_cursors.py",
    "tests/run/test_ddl_during_load.py",
    "tests/strategies/jdbc/test_distributions.py",
    "tests/service/test_launching.py",
    "tests/service/test_side_by_side.py",
    "tests/atlassian/test_clients.py",
    "tests/examples/test_demo.py",
    "tests/service/test_schedules.py",
    "tests/services/test_drift_and_deletes.py",
    "tests/atlassian/test_client_reads.py",
    "tests/examples/test_tutorial.py",
    "tests/strategies/jira/test_landing.py",
    "tests/simulation/",
)


def rank(node_id: str) -> int:
    """The position of a test's group in `GROUPS`; their number where it is in none."""
    fitting = [prefix for prefix in GROUPS if node_id.startswith(prefix)]
    return GROUPS.index(max(fitting, key=len)) if fitting else len(GROUPS)


class SharedServers(LoadScopeScheduling):
    """Hands a group to the next process that is free, in the order of the collection."""

    def _split_scope(self, nodeid: str) -> str:
        position = rank(nodeid)
        return GROUPS[position] if position < len(GROUPS) else nodeid.partition("::")[0]


def claim(server: str, session_folder: Path) -> None:
    """Fails where another test process has the server already: its group was split. `session_folder`: pytest's, of this process."""
    if "PYTEST_XDIST_WORKER" in os.environ:
        with (session_folder.parent / f"{server}.claim").open("x"):
            pass
