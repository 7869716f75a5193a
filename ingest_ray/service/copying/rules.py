"""Chooses how each table is copied: incrementally by a column of changes and a key, else as a whole."""

from collections.abc import Iterator, Sequence
from difflib import get_close_matches
from fnmatch import fnmatchcase

from ingest_ray.config import UnitRule
from ingest_ray.registry import sink_family
from ingest_ray.sdk.errors import ConfigError
from ingest_ray.sdk.types import Dataset, Model, Policy, RunMode

CHANGE_COLUMNS = (
    "updated_at",
    "last_updated_at",
    "last_updated",
    "last_update",
    "modified_at",
    "last_modified_at",
    "last_modified",
    "changed_at",
    "updated_on",
    "modified_on",
    "date_updated",
    "date_modified",
    "update_time",
    "updated_time",
    "modified_time",
    "modified_date",
    "last_modified_date",
    "write_date",
    "updated",
    "modified",
    "system_modstamp",
)
"""Names of columns that applications set with every change, in the order of preference; compared without case and underscores."""


class CopyChoice(Model):
    """How a table is copied. `cursor` None: as a whole with every run."""

    unit_id: str
    cursor: str | None = None
    key: tuple[str, ...] = ()
    reason: str = ""


def select_datasets(found: Sequence[Dataset], tables: Sequence[str]) -> list[Dataset]:
    """The datasets that names or patterns select; a name without a schema selects it in every schema.

    Raises:
        ConfigError: one selects nothing; it names what is similar.
    """
    if not tables:
        return list(found)
    chosen: dict[str, Dataset] = {}
    for wanted in tables:
        matching = [dataset for dataset in found if any(fnmatchcase(name, wanted) for name in _names_of(dataset))]
        if not matching:
            known = [name for dataset in found for name in _names_of(dataset)]
            similar = get_close_matches(wanted, known, n=3) or known[:5]
            raise ConfigError(
                f"TABLE: nothing matches '{wanted}'", hint=f"there is: {', '.join(similar) or 'no table'}"
            )
        chosen |= {dataset.name: dataset for dataset in matching}
    return list(chosen.values())


def can_upsert(template: str) -> bool:
    """Whether sinks of a template merge rows by key."""
    return "upsert" in sink_family(template).descriptor.capabilities


def choose(
    dataset: Dataset, cursor: str | None, key: Sequence[str], *, is_full: bool, is_merged: bool = True
) -> CopyChoice:
    """`cursor`, `key`: what the person named; a dataset without such columns takes its own. `is_merged`: the target merges by key."""
    named = tuple(name for name in key if dataset.column(name) is not None)
    own = named if key and len(named) == len(key) else dataset.primary_key
    if is_full:
        return CopyChoice(unit_id=dataset.name, key=own, reason="as asked")
    if not is_merged:
        return CopyChoice(unit_id=dataset.name, key=own, reason="the target does not merge rows by key")
    by = cursor if cursor is not None and dataset.column(cursor) is not None else _change_column(dataset)
    if by is None:
        return CopyChoice(unit_id=dataset.name, key=own, reason="no column says when a row changed")
    if not own:
        return CopyChoice(unit_id=dataset.name, reason="no key: changed rows could not replace their old versions")
    return CopyChoice(unit_id=dataset.name, cursor=by, key=own)


def rule_of(choice: CopyChoice, endpoint_id: str, sink_id: str, dataset: Dataset) -> UnitRule:
    key = choice.key if choice.key != dataset.primary_key else ()
    policy = {"cursor": choice.cursor, "primary_key": key}
    return UnitRule(
        endpoint=endpoint_id,
        unit=choice.unit_id,
        match="exact",
        sink=sink_id,
        enabled=True,
        run_mode=RunMode.INCREMENTAL if choice.cursor is not None else RunMode.FULL,
        policy=Policy.model_validate({name: value for name, value in policy.items() if value}),
    )


def _names_of(dataset: Dataset) -> Iterator[str]:
    yield dataset.name
    table = dataset.facts.get("table")
    yield table if isinstance(table, str) else dataset.name.rpartition(".")[2]


def _change_column(dataset: Dataset) -> str | None:
    plain = {_plain(column.name): column.name for column in reversed(dataset.columns) if _is_time(column.arrow)}
    return next((plain[_plain(name)] for name in CHANGE_COLUMNS if _plain(name) in plain), None)


def _is_time(arrow: str) -> bool:
    return arrow.startswith("timestamp")


def _plain(name: str) -> str:
    return name.replace("_", "").lower()
