"""Units of the catalog's tables, and checks of their policies. Makes no request to the source."""

from collections.abc import Sequence
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from ingest_ray.sdk.dataset_schema import schema_of
from ingest_ray.sdk.errors import ConfigError, ModeUnsupported
from ingest_ray.sdk.types import Dataset, Endpoint, Fidelity, RunMode, Unit, UnitSpec, WriteMode
from ingest_strategies.jdbc.dialect import CURSOR_KINDS, Dialect
from ingest_strategies.jdbc.table_view import TableView

ZONED_TEMPLATES = ("jdbc.postgres", "jdbc.mysql")  # other horizons of time allow for the server's zone and for UTC


def list_units(dialect: Dialect, endpoint: Endpoint, datasets: Sequence[Dataset]) -> list[Unit]:
    return [unit_of(dialect, dataset) for dataset in datasets if dataset.endpoint_id == endpoint.endpoint_id]


def unit_of(dialect: Dialect, dataset: Dataset) -> Unit:
    cursors = [column.name for column in dataset.columns if is_cursor(dialect, dataset, column.name)]
    modes = (RunMode.FULL, RunMode.INCREMENTAL) if cursors else (RunMode.FULL,)
    return Unit(
        endpoint_id=dataset.endpoint_id,
        unit_id=dataset.name,
        dataset_id=dataset.dataset_id,
        kind=dataset.kind,
        display_name=dataset.name,
        driver_id=dialect.template,
        supported_modes=modes,
        stats={"rows": dataset.estimated_rows, "bytes": dataset.estimated_bytes, "columns": len(dataset.columns)},
    )


def is_cursor(dialect: Dialect, dataset: Dataset, name: str) -> bool:
    column = dialect.axis_column(dataset, name, is_cursor=True)
    return column is not None and column.kind in CURSOR_KINDS


def check_policy(dialect: Dialect, spec: UnitSpec) -> None:
    dataset, policy = spec.dataset, spec.policy
    readable = schema_of(dataset, policy.columns or None)
    if not readable.names:
        raise ModeUnsupported(f"{spec.unit_id}: none of its columns can be read")
    for name in policy.primary_key:
        if dataset.column(name) is None:
            raise ConfigError(f"{spec.unit_id}: field 'primary_key': no column '{name}'")
    lossy = [
        column.name for column in dataset.columns if column.fidelity is Fidelity.LOSSY and column.name in readable.names
    ]
    if lossy and not policy.allow_lossy:
        raise ConfigError(f"{spec.unit_id}: {', '.join(lossy)} would lose something", hint="policy allow_lossy: true")
    check_key_spellings(spec)
    if spec.config.run_mode is RunMode.INCREMENTAL:
        check_incremental(dialect, spec)


def check_key_spellings(spec: UnitSpec) -> None:
    """An upsert compares keys as they travel: a key that the source writes again in another spelling is another row there."""
    spellings = key_spellings(spec)
    if spellings and not spec.policy.allow_lossy:
        reasons = "; ".join(f"'{name}': {reason}" for name, reason in spellings.items())
        raise ConfigError(
            f"{spec.unit_id}: values of its key can be equal and differ in spelling, and would be two rows in the sink: {reasons}",
            hint="policy allow_lossy: true where every key keeps its spelling; or another primary_key, or write: append or replace",
        )


def key_spellings(spec: UnitSpec) -> dict[str, str]:
    """The columns of the key of an upsert whose equal values can differ as they travel: name -> why."""
    spellings = spec.dataset.facts.get("spellings")
    if not spec.write_mode.merges or not isinstance(spellings, dict):
        return {}
    return {name: str(spellings[name]) for name in spec.key if name in spellings}


def check_incremental(dialect: Dialect, spec: UnitSpec) -> None:
    dataset, policy = spec.dataset, spec.policy
    if not policy.cursor:
        raise ModeUnsupported(f"{spec.unit_id}: an incremental run needs a cursor", hint="policy cursor: a column")
    column = dataset.column(policy.cursor)
    if column is None:
        raise ConfigError(f"{spec.unit_id}: field 'cursor': no column '{policy.cursor}'")
    if not is_cursor(dialect, dataset, policy.cursor):
        raise ModeUnsupported(
            f"{spec.unit_id}: column '{policy.cursor}' of type '{column.source_type}' cannot be a cursor",
            hint="a number, a time, text or a uuid can",
        )
    check_zone(dialect, spec)
    view = TableView(dialect, spec)
    if policy.write is WriteMode.REPLACE:
        raise ModeUnsupported(f"{spec.unit_id}: an incremental run cannot replace", hint="write: upsert or append")
    if view.is_append and policy.lookback:
        raise ConfigError(
            f"{spec.unit_id}: field 'lookback': rows read again would be doubled in a table without a key",
            hint="write: upsert with a primary_key",
        )


def check_zone(dialect: Dialect, spec: UnitSpec) -> None:
    """`cursor_zone` is the name of a zone, and applies to the cursor."""
    zone, name = spec.policy.cursor_zone, spec.policy.cursor
    if zone is None or name is None:
        return
    column = dialect.axis_column(spec.dataset, name, is_cursor=True)
    if dialect.template not in ZONED_TEMPLATES or column is None or column.kind not in ("date", "timestamp"):
        raise ConfigError(
            f"{spec.unit_id}: field 'cursor_zone': cursor '{name}' of {dialect.template} has no use for it",
            hint=f"it is for times without a zone of {' and '.join(ZONED_TEMPLATES)}: remove it",
        )
    try:
        ZoneInfo(zone)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise ConfigError(
            f"{spec.unit_id}: field 'cursor_zone': '{zone}' is no time zone", hint="such as UTC or Europe/Berlin"
        ) from None
