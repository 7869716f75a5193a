"""Checks that a unit's policy suits its dataset, that its sink can hold its types, and that no other unit has its target."""

from ingest_ray.engine.masking.masked_dataset import check_masks
from ingest_ray.engine.reports import CertificateLine
from ingest_ray.engine.run_order import RunOrder
from ingest_ray.engine.steps.unit_layout import target_of
from ingest_ray.run.preview import certificate
from ingest_ray.sdk.contracts import Sink
from ingest_ray.sdk.errors import ConfigError, ModeUnsupported, SourceChanged
from ingest_ray.sdk.types import Dataset, Fidelity, RunMode, UnitSpec, WriteMode
from ingest_ray.service.units.launch_catalog import LaunchCatalog
from ingest_ray.service.units.policies.renamed_columns import check_renames

SHOWN_COLUMNS = 5  # a table may have thousands that do not fit


def check_policy(spec: UnitSpec, before: Dataset | None = None) -> None:
    """Raises `ConfigError`, naming unit and field, for columns that do not exist and modes that contradict each other.

    `before` is the accepted schema: a missing column that it had raises `SourceChanged`.
    """
    name, policy = spec.ref, spec.policy
    known = [column.name for column in spec.dataset.columns]
    named = {
        "cursor": (policy.cursor,) if policy.cursor else (),
        "primary_key": policy.primary_key,
        "columns": policy.columns,
    }
    for field, columns in named.items():
        for column in columns:
            if column not in known and before is not None and before.column(column) is not None:
                raise SourceChanged(
                    f"unit '{name}': column '{column}' of policy.{field} is gone at the source",
                    hint="choose another column, and reset the unit where its key or cursor is another one now",
                )
            if column not in known:
                raise ConfigError(
                    f"unit '{name}': policy.{field} names column '{column}', which the dataset does not have",
                    hint=f"columns: {', '.join(known[:30])}",
                )
        if len(set(columns)) != len(columns):
            raise ConfigError(f"unit '{name}': policy.{field} names a column twice")
    check_masks(spec)
    check_renames(spec)
    key = spec.key
    if policy.write is not None and policy.write.merges and not key and not spec.is_cdm:
        raise ConfigError(
            f"unit '{name}': write: {policy.write} needs a key, and the dataset has none",
            hint="set policy.primary_key, or write: append",
        )
    if policy.columns:
        needed = [
            *(key if spec.write_mode.merges else ()),
            *([policy.cursor] if policy.cursor else []),
        ]
        for column in needed:
            if column not in policy.columns:
                raise ConfigError(f"unit '{name}': policy.columns leaves out '{column}', which is key or cursor")


def with_explicit_policy(spec: UnitSpec) -> UnitSpec:
    """The same unit with key, write mode and the source's own cursor written into its policy."""
    own = spec.dataset.facts.get("cursor")
    cursor = spec.policy.cursor
    if cursor is None and isinstance(own, str) and spec.config.run_mode is RunMode.INCREMENTAL:
        cursor = own
    update = {"primary_key": spec.key, "write": spec.write_mode, "cursor": cursor}
    policy = spec.policy.model_copy(update=update)
    return spec.model_copy(update={"config": spec.config.model_copy(update={"policy": policy})})


def check_types(order: RunOrder, sink: Sink | None = None) -> None:
    """Raises `ConfigError`, naming the columns, for types that a sink cannot hold, or not without loss and consent."""
    lines = certificate(order, sink)
    for fidelity, hint in (
        (Fidelity.REFUSED, "leave these columns out with policy.columns, or choose another sink"),
        (Fidelity.LOSSY, "allow it with policy.allow_lossy: true, or leave these columns out with policy.columns"),
    ):
        bad = [line for line in lines if line.fidelity is fidelity]
        if bad and not (fidelity is Fidelity.LOSSY and order.spec.policy.allow_lossy):
            named = ", ".join(_described(line) for line in bad[:SHOWN_COLUMNS])
            named += f" and {len(bad) - SHOWN_COLUMNS} more" if len(bad) > SHOWN_COLUMNS else ""
            how = "cannot be held" if fidelity is Fidelity.REFUSED else "would lose something"
            raise ConfigError(f"unit '{order.ref}': in sink '{order.sink.endpoint_id}' {how}: {named}", hint=hint)


def _described(line: CertificateLine) -> str:
    return f"'{line.column}' ({line.source_type} -> {line.sink_type}{f': {line.note}' if line.note else ''})"


def check_write_mode(order: RunOrder, launch_catalog: LaunchCatalog) -> None:
    """Raises `ModeUnsupported` where the unit's sink has no such write mode."""
    spec = order.spec
    if spec.is_cdm:
        return
    writes = getattr(launch_catalog.sink(order.sink, order.settings), "writes", None)
    if writes is not None and spec.write_mode not in writes:
        raise ModeUnsupported(
            f"unit '{spec.ref}': sinks of template '{order.sink.template}' do not write by {spec.write_mode}",
            hint=f"policy.write: {' or '.join(writes)}; or choose lake.delta, lake.iceberg or a database",
        )


def check_changes(order: RunOrder, launch_catalog: LaunchCatalog) -> None:
    """Raises `ModeUnsupported` where changes would be upserted into a sink that cannot delete rows in the commit that updates others."""
    spec = order.spec
    if not spec.reads_log or not spec.write_mode.merges:
        return
    if not getattr(launch_catalog.sink(order.sink, order.settings), "applies_changes", False):
        raise ModeUnsupported(
            f"unit '{spec.ref}': sinks of template '{order.sink.template}' cannot apply changes from a log",
            hint="write: append keeps every change as a row; or choose lake.delta or a database",
        )


def check_history(order: RunOrder, launch_catalog: LaunchCatalog) -> None:
    """Raises `ModeUnsupported` where the unit's sink keeps no history, `ConfigError` where the policy would delete rows of one."""
    spec = order.spec
    if spec.write_mode is not WriteMode.HISTORY:
        return
    sink = launch_catalog.sink(order.sink, order.settings)
    if not getattr(sink, "keeps_history", False):
        raise ModeUnsupported(
            f"unit '{spec.ref}': sinks of template '{order.sink.template}' keep no history",
            hint="write: upsert; or choose lake.delta, lake.iceberg or a database",
        )
    if spec.reads_log and not getattr(sink, "keeps_history_of_changes", False):
        raise ModeUnsupported(
            f"unit '{spec.ref}': sinks of template '{order.sink.template}' keep no history of the changes of a log",
            hint="write: upsert or append; or choose lake.delta or a database",
        )
    if spec.policy.deletes == "delete":
        raise ConfigError(
            f"unit '{spec.ref}': policy.deletes: delete, and a history closes the rows of what is gone",
            hint="leave policy.deletes out",
        )


def check_target(order: RunOrder, launch_catalog: LaunchCatalog) -> None:
    """Raises `ConfigError` where another enabled unit writes to the same location. Tables of CDM models are shared."""
    if order.spec.is_cdm:
        return
    where = launch_catalog.sink(order.sink, order.settings).location(target_of(order))
    others = launch_catalog.other_writers(order.ref, order.sink, where, order.settings)
    if others:
        named = ", ".join(f"'{unit}'" for unit in others[:5])
        raise ConfigError(
            f"units '{order.ref}' and {named} {'both' if len(others) == 1 else 'all'} write to '{where}', or into a folder of it",
            hint="give one of them another name with table: in its rule, or another sink, or disable it",
        )
