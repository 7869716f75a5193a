"""Admits the units of a launch: the gate for each, and the conditions of backfill, replay, remap and deletes."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from pydantic import ConfigDict, Field

from ingest_ray.catalog import unit_configs
from ingest_ray.catalog.endpoints import source
from ingest_ray.engine.run_order import RunOrder
from ingest_ray.engine.steps.unit_layout import unit_key_of
from ingest_ray.registry import strategy_for
from ingest_ray.sdk.contracts import Backfill, KeyScan, capability
from ingest_ray.sdk.errors import (
    CdmModeUnsupported,
    ConfigError,
    EndpointNotFound,
    IngestError,
    ModeUnsupported,
    RunActive,
    UnitDisabled,
    UnitNotFound,
)
from ingest_ray.sdk.refs import UnitRef
from ingest_ray.sdk.types import DataMode, Model, RunMode, UnitConfig, WriteMode
from ingest_ray.service.installation import Installation, new_id
from ingest_ray.service.packages import refuse_missing_packages
from ingest_ray.service.units.gate import SinkChoice, gate
from ingest_ray.service.units.launch_catalog import LaunchCatalog
from ingest_ray.service.units.policies.replay import no_replay
from ingest_ray.service.units.policies.unfit_units import UNFIT
from ingest_ray.service.units.selection import select_units
from ingest_ray.state import read_states
from ingest_ray.state.lease import describe, is_live


class RunOptions(Model):
    """The task of a launch. `lower` and `upper` bound a backfill; `reconcile` and `upkeep` follow an ordinary run."""

    task: Literal["ingest", "backfill", "replay", "remap"] = "ingest"
    lower: str | None = None
    upper: str | None = None
    reconcile: bool = False
    upkeep: bool = False
    allow_deletes: bool = False
    follow_s: float | None = None


def options_of(task: str, config: UnitConfig) -> RunOptions:
    """What a run of a scheduled task does. `full` reads a unit that follows a cursor again, from end to end, and merges what it reads;
    the watermark stays, and the ordinary runs beside it go on from there."""
    if task == "full" and config.run_mode is not RunMode.FULL:
        return RunOptions(task="backfill")
    return RunOptions(reconcile=task == "reconcile", upkeep=task == "upkeep")


class RunRequest(Model):
    """A request for one run of one unit: the process that executes the run needs nothing else.

    `sink_id` and `sink_endpoint_id` override what is configured.
    """

    model_config = ConfigDict(validate_by_name=True, validate_by_alias=True, serialize_by_alias=True)

    endpoint_id: str
    unit_id: str
    sink_id: str | None = None
    sink_endpoint_id: str | None = None
    options: RunOptions = Field(default=RunOptions(), alias="errand")
    """Stored under the name that catalogs of earlier releases know."""
    requested_by: str | None = None
    trace: dict[str, str] = Field(default_factory=dict)
    """The span of the request, as headers of https://www.w3.org/TR/trace-context/."""

    @property
    def ref(self) -> UnitRef:
        return UnitRef(self.endpoint_id, self.unit_id)

    @property
    def sink(self) -> SinkChoice:
        return SinkChoice(sink_id=self.sink_id, sink_endpoint_id=self.sink_endpoint_id)


@dataclass(frozen=True)
class Refusal:
    """A unit of a launch that may not run, and why."""

    unit: UnitRef
    error: IngestError


@dataclass(frozen=True)
class Admission:
    """`refused`: units that fail by themselves; the others run."""

    orders: list[RunOrder]
    refused: list[Refusal]


def admit(
    installation: Installation,
    endpoint_id: str,
    unit_ids: Sequence[str],
    options: RunOptions | None = None,
    *,
    run_id: str | None = None,
    sink: SinkChoice | None = None,
) -> list[RunOrder]:
    """The orders of a launch: every unit passed the gate, suits the options, and has no live run.

    `run_id` is the first part of each run's id.
    """
    admission = admit_each(installation, endpoint_id, unit_ids, options, run_id=run_id, sink=sink)
    if admission.refused:
        raise joined_refusal(admission.refused)
    return admission.orders


def admit_each(
    installation: Installation,
    endpoint_id: str,
    unit_ids: Sequence[str],
    options: RunOptions | None = None,
    *,
    run_id: str | None = None,
    sink: SinkChoice | None = None,
) -> Admission:
    """Admits each unit by itself.

    Raises:
        EndpointNotFound, UnitNotFound, ConfigError: the call names what does not exist, or its options contradict each other.
        GateError, ConfigError, SourceChanged: no unit may run; the message names all of them.
    """
    options = options or RunOptions()
    refuse_missing_packages(installation.settings)
    _check_call(endpoint_id, unit_ids, options)
    wanted = select_units(installation, endpoint_id, unit_ids) or enabled_units(installation, endpoint_id)
    base = run_id or new_id()
    launch_catalog = LaunchCatalog(len(wanted))
    orders: list[RunOrder] = []
    refused: list[Refusal] = []
    task = {"task": options.task, "lower": options.lower, "upper": options.upper, "follow_s": options.follow_s}
    for n, unit_id in enumerate(wanted, start=1):
        unit = UnitRef(endpoint_id, unit_id)
        own_id = base if len(wanted) == 1 else f"{base}-{n:03}"
        try:
            order = gate(installation, unit, own_id, sink, launch_catalog)
            _check_options(order, options)
            _refuse_live_run(installation, order, run_id)
        except (EndpointNotFound, UnitNotFound):
            raise
        except UNFIT as error:
            refused.append(Refusal(unit, error))
        else:
            orders.append(order.model_copy(update=task))
    if not orders:
        raise joined_refusal(refused)
    return Admission(orders, refused)


def admit_comparison(installation: Installation, endpoint_id: str, unit_ids: Sequence[str]) -> list[RunOrder]:
    """The orders of a comparison with the sink: every unit passed the gate. A live run of a unit does not matter."""
    wanted = select_units(installation, endpoint_id, unit_ids) or enabled_units(installation, endpoint_id)
    base, launch_catalog = new_id(), LaunchCatalog(len(wanted))
    return [
        gate(
            installation,
            UnitRef(endpoint_id, unit_id),
            base if len(wanted) == 1 else f"{base}-{n:03}",
            None,
            launch_catalog,
        )
        for n, unit_id in enumerate(wanted, start=1)
    ]


def joined_refusal(refused: Sequence[Refusal]) -> IngestError:
    """One error that names all units: a line each, with the code of the first."""
    first = refused[0].error
    if len(refused) == 1:
        return first
    lines = [_line_of(refusal) for refusal in refused]
    hints = dict.fromkeys(refusal.error.hint for refusal in refused if refusal.error.hint)
    return type(first)("\n".join(lines), hint=next(iter(hints), None))


def _line_of(refusal: Refusal) -> str:
    message = refusal.error.message
    return message if refusal.unit.unit_id in message else f"unit '{refusal.unit}': {message}"


def _check_call(endpoint_id: str, unit_ids: Sequence[str], options: RunOptions) -> None:
    if options.task != "ingest" and not unit_ids:
        raise ConfigError(f"a {options.task} names its units", hint=f"ingest-ray units {endpoint_id} shows them")
    if options.task != "ingest" and options.reconcile:
        raise ConfigError(f"a {options.task} reads only a part: deletes are looked for after an ordinary run")
    if options.allow_deletes and not options.reconcile:
        raise ConfigError("consent to deletes belongs to a reconciliation", hint="run --reconcile --allow-deletes")


def _refuse_live_run(installation: Installation, order: RunOrder, run_id: str | None) -> None:
    lease = read_states(installation.kv, unit_key_of(order)).lease
    if lease is not None and is_live(lease) and lease.run_id != run_id:
        raise RunActive(
            f"unit '{order.ref}' has a live run: {describe(lease)}",
            hint="wait for it, or stop it first",
        )


def is_reconcilable(order: RunOrder) -> bool:
    """A replacement has no deleted rows."""
    return order.spec.write_mode is not WriteMode.REPLACE


def _check_options(order: RunOrder, options: RunOptions) -> None:
    write = order.spec.write_mode
    strategy = strategy_for(order.spec.endpoint.template)
    if options.follow_s is not None and not order.spec.reads_log:
        raise ModeUnsupported(
            f"unit '{order.ref}' runs {order.spec.config.run_mode}: only changes from a log are followed",
            hint="run_mode: CHANGES, or name the units that have it",
        )
    if options.task == "backfill":
        capability(strategy, Backfill)
        if order.spec.reads_log:
            raise ModeUnsupported(
                f"unit '{order.ref}' runs {order.spec.config.run_mode}: a log has no cursor by which rows are read again",
                hint="ingest-ray verify --repair reads again what differs",
            )
    if options.reconcile and is_reconcilable(order):
        capability(strategy, KeyScan)
    if options.task == "remap":
        if order.spec.config.mode is not DataMode.CDM:
            raise CdmModeUnsupported(
                f"unit '{order.ref}' is not in CDM mode: there is nothing to map", hint="mode: cdm"
            )
        return
    if options.task == "replay" and (refused := no_replay(order.spec)) is not None:
        raise ConfigError(f"rows of unit '{order.ref}' cannot be replayed: {refused.reason}", hint=refused.hint)
    if options.task != "ingest" and not write.merges:
        raise ConfigError(
            f"unit '{order.ref}' has write: {write}, and a {options.task} would double its rows or replace them all",
            hint="it needs write: upsert, with a key",
        )
    if options.reconcile and write is WriteMode.APPEND:
        raise ConfigError(
            f"unit '{order.ref}' has write: append, so rows that were deleted cannot be found in its sink",
            hint="it needs write: upsert, with a key",
        )


def enabled_units(installation: Installation, endpoint_id: str) -> list[str]:
    with installation.catalog.read() as connection:
        source(connection, endpoint_id)
        found = [item.config.unit_id for item in unit_configs.listed(connection, endpoint_id) if item.config.enabled]
    if not found:
        raise UnitDisabled(
            f"endpoint '{endpoint_id}' has no enabled unit",
            hint=f"collect it and enable units: ingest-ray units {endpoint_id}",
        )
    return found
