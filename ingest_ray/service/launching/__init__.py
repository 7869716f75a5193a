"""Launchers start runs in the background, request their stop and read their state: one interface, several launchers.

    open_run       the gate, then the run record and its channel in one transaction: only then does the run exist
    launcher       starts a process that gets nothing but the settings and the run's id
    execute_run    in that process: takes the run over (once), passes the gate again, and runs it to its end

Until its process has taken it over, the starter vouches for a run. Where it dies before, `restart_lost_runs` of another server starts
the process. A process that dies later leaves a record without a living owner: `service.runs.run_liveness` detects that, and
the next start of the unit ends the record.
"""

from importlib import import_module
from typing import Protocol

from ingest_ray.sdk.missing_packages import named_packages
from ingest_ray.sdk.types import RunState
from ingest_ray.service.installation import Installation
from ingest_ray.service.launching.lifecycle import WithinStart
from ingest_ray.service.runs.admission import RunRequest


class Launcher(Protocol):
    def start(self, installation: Installation, request: RunRequest, within: WithinStart = lambda _: None) -> str:
        """Passes the gate, writes the run record, and returns the run's id while it runs in the background.

        `within` is called in the transaction that writes the record; where it raises, there is no record.

        Raises:
            GateError, ConfigError, StateError: there is no record.
            ConfigError, ClusterUnavailable: the run could not be started; where it has a record, that is its end.
        """
        ...

    def check(self, installation: Installation) -> None:
        """Raises `ConfigError`, `ClusterUnavailable` where no run could be started now: before there is a record."""
        ...

    def is_over(self, installation: Installation, run_id: str) -> bool:
        """Whether nothing carries the run out any more: a run that FAILED by its record has ended for good, one that has no process yet
        gets none."""
        ...

    def restart(self, installation: Installation, run_id: str) -> None:
        """Starts the process of a run that has its record, and no process; twice is once."""
        ...

    def pause(self, installation: Installation, run_id: str, requested_by: str | None) -> None:
        """Requests that a run stops after the commit under way, whichever process it runs in. A second request changes nothing."""
        ...

    def state(self, installation: Installation, run_id: str) -> RunState:
        """FAILED where the process of the run is gone. Raises `ConfigError` for an id that no run has."""
        ...


MODULES = {
    "in-process": "ingest_ray.service.launching.child_process",
    "ray-job": "ingest_ray.service.launching.ray_job",
    "temporal": "ingest_ray.service.launching.temporal_workflow",
}


def launcher_for(installation: Installation) -> Launcher:
    """The launcher that the settings name. Raises `ConfigError` where its library is not installed."""
    name = installation.settings.launcher
    with named_packages(f"launcher '{name}'"):
        launcher: Launcher = import_module(MODULES[name]).launcher
    return launcher


__all__ = ["Launcher", "launcher_for"]
