"""Starting a run in the background, asking it to stop, and finding out how it is: one interface, several launchers.

    begin       the gate, then the run record and its line, in one transaction: only then does the run exist
    launcher    brings a process to life that knows nothing but the settings and the run's id
    carry_on    that process takes the run over (once), passes the gate again, and runs it to its end

A process that dies in between leaves a record that nobody lives behind: `service.liveness` tells so, and the next start
ends it.
"""

from importlib import import_module
from typing import Protocol

from ingest_ray.sdk.errors import ConfigError
from ingest_ray.sdk.types import RunState
from ingest_ray.service.installation import Installation
from ingest_ray.service.runs.admission import RunRequest


class Launcher(Protocol):
    def start(self, installation: Installation, request: RunRequest) -> str:
        """Passes the gate, writes the run record, and returns the run's id while it runs in the background.

        Raises:
            GateError, ConfigError, StateError: there is no record.
        """
        ...

    def pause(self, installation: Installation, run_id: str, requested_by: str | None) -> None:
        """Asks a run to stop after the commit under way, in whatever process it is. Asking twice is asking once."""
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
    """The one that the settings name. Raises `ConfigError` where its library is not installed."""
    name = installation.settings.launcher
    try:
        launcher: Launcher = import_module(MODULES[name]).launcher
    except ModuleNotFoundError as error:
        raise ConfigError(
            f"launcher '{name}' needs '{error.name}', which is not installed", hint="pip install 'ingest-ray[temporal]'"
        ) from None
    return launcher


__all__ = ["Launcher", "launcher_for"]
