"""Compares the dataset at the source with the accepted schema before a run, and applies the policy to the differences.

It costs one cheap request, the first of a run; where nothing changed, nothing is written.
"""

from ingest_ray.catalog import accepted_schema, dataset_versions, unit_configs
from ingest_ray.catalog.dataset_versions import shape
from ingest_ray.engine.masking.masked_dataset import check_masks
from ingest_ray.engine.run_order import RunOrder
from ingest_ray.registry import strategy_for
from ingest_ray.sdk.dataset_schema import check_column_types
from ingest_ray.sdk.errors import ConfigError, GateError, SourceChanged
from ingest_ray.sdk.types import Dataset, Model, UnitSpec, WriteMode
from ingest_ray.secrets import masked
from ingest_ray.service.installation import Installation
from ingest_ray.service.units.policies.cursor_choice import with_choice_of
from ingest_ray.service.units.policies.excluded_columns import reduced
from ingest_ray.service.units.schema_changes import (
    changes,
    followed_dataset,
    refused_changes,
    relevant_changes,
    source_dataset,
)
from ingest_ray.service.units.validation import check_policy, check_types, with_explicit_policy
from ingest_ray.state.sealed_secrets import open_source


class SchemaCheck(Model):
    """`order` has the dataset that the policy allows. `changes`: the differences from the last run, in words."""

    order: RunOrder
    changes: tuple[str, ...] = ()
    observed: Dataset
    is_new_to_catalog: bool = False
    is_new_to_unit: bool = False


def check_schema(installation: Installation, order: RunOrder) -> SchemaCheck:
    """Reads the source's description of the dataset, and writes nothing. `replay` and `remap` do not contact the source.

    Raises:
        SourceChanged: the dataset is gone, or changed in a way that the policy or the sink does not follow.
    """
    spec = order.spec
    with installation.catalog.read() as connection:
        before = accepted_schema.find(connection, spec.ref, spec.config.sink_id)
        stored = unit_configs.find(connection, spec.ref)
    config = with_choice_of(stored.config, spec.config) if stored is not None else spec.config
    raw = spec.model_copy(update={"config": config})  # keys that the configuration does not set follow the dataset
    before = (
        reduced(before, config.policy) if before is not None else None
    )  # no change of excluded columns concerns the unit
    if order.task in ("replay", "remap"):
        return SchemaCheck(order=_with_dataset(order, raw, before or spec.dataset), observed=before or spec.dataset)
    strategy = strategy_for(spec.endpoint.template)
    observed = strategy.describe(open_source(spec.endpoint, installation.settings, run_id=order.run_id), spec.dataset)
    if observed is None:
        raise SourceChanged(
            f"the dataset of unit '{spec.ref}' is gone at the source",
            hint=f"ingest-ray collect {spec.endpoint.endpoint_id} shows what is there",
        )
    check_column_types(observed)
    now = reduced(observed, config.policy)
    staged, found = _followed_dataset(raw, before, now)
    policy = spec.policy.on_schema_change
    is_new_to_unit = before is None or shape(staged) != shape(before)
    is_new_to_catalog = policy == "evolve" and shape(now) != shape(spec.dataset)
    if shape(staged) != shape(spec.dataset):
        order = _with_checked_dataset(order, raw, staged)
    else:
        check_masks(raw.model_copy(update={"dataset": staged}))  # facts are no part of the shape
        order = _with_dataset(order, raw, staged)
    return SchemaCheck(
        order=order.model_copy(update={"source_dataset": source_dataset(now, staged)}),
        changes=tuple(found) if is_new_to_unit or is_new_to_catalog else (),
        observed=observed,
        is_new_to_catalog=is_new_to_catalog,
        is_new_to_unit=is_new_to_unit,
    )


def accept_schema(installation: Installation, checked: SchemaCheck) -> None:
    """Stores the dataset that the unit runs with as its accepted schema, and, where the unit evolves, the dataset's new version."""
    if checked.order.task in ("replay", "remap") or not (checked.is_new_to_catalog or checked.is_new_to_unit):
        return
    spec = checked.order.spec
    with installation.catalog.begin(is_alone=True) as connection:
        if checked.is_new_to_catalog:
            dataset_versions.observe(connection, checked.observed)
        if checked.is_new_to_unit:
            accepted_schema.put(connection, spec.ref, spec.config.sink_id, spec.dataset)


def _followed_dataset(raw: UnitSpec, before: Dataset | None, now: Dataset) -> tuple[Dataset, list[str]]:
    """The dataset that is staged from now on, and the changes in words."""
    policy = raw.policy
    is_first = before is None
    old = before if before is not None else raw.dataset
    write = raw.model_copy(update={"dataset": old}).write_mode
    _refuse_lost_columns(raw, old, now, write)
    if not (is_first and policy.on_schema_change == "evolve"):
        _refuse_another_key(raw, old, now, write)
    found = relevant_changes(list(changes(old, now)), policy)
    is_made_new = write is WriteMode.REPLACE or is_first
    refused = refused_changes(found, policy, is_made_new=is_made_new)
    if refused:
        text = "; ".join(change.text for change in refused)
        raise SourceChanged(
            f"the dataset of unit '{raw.ref}' changed, and policy.on_schema_change is '{policy.on_schema_change}': {text}",
            hint=_hint(raw, is_first),
        )
    staged = now if is_first and policy.on_schema_change == "evolve" else followed_dataset(old, now, policy)
    read = {column.name for column in staged.columns}
    return staged, [
        change.text if change.column in read or change.kind == "dropped" else f"{change.text} (not read)"
        for change in found
    ]


def _refuse_lost_columns(raw: UnitSpec, old: Dataset, now: Dataset, write: WriteMode) -> None:
    policy = raw.policy
    key = policy.primary_key or old.primary_key
    needed = dict.fromkeys(key if write.merges or policy.primary_key else (), "key")
    needed |= {policy.cursor: "cursor"} if policy.cursor else {}
    for column, role in needed.items():
        if now.column(column) is None:
            raise SourceChanged(
                f"column '{column}', the {role} of unit '{raw.ref}', is gone at the source",
                hint=f"choose another {role}, then reset the unit: what was loaded by the old one cannot go on",
            )


def _refuse_another_key(raw: UnitSpec, old: Dataset, now: Dataset, write: WriteMode) -> None:
    if raw.policy.primary_key or not write.merges or set(old.primary_key) == set(now.primary_key):
        return
    raise SourceChanged(
        f"the primary key of unit '{raw.ref}' is ({', '.join(now.primary_key)}) now, and was ({', '.join(old.primary_key)})",
        hint="say which one to go on with: policy.primary_key; for the new one, reset the unit and remove its table first",
    )


def _hint(raw: UnitSpec, is_first: bool) -> str:
    endpoint, unit = raw.endpoint.endpoint_id, raw.unit_id
    if raw.policy.on_schema_change != "evolve":
        if is_first:
            return f"ingest-ray collect {endpoint} takes the dataset into the catalog as it is now"
        return f"to go on with the dataset as it is now: ingest-ray collect {endpoint}, ingest-ray datasets accept {endpoint} {unit}"
    return f"leave the column out (policy.columns), or load again: ingest-ray reset {endpoint} {unit}, and remove its table"


def _with_dataset(order: RunOrder, raw: UnitSpec, dataset: Dataset) -> RunOrder:
    spec = with_explicit_policy(raw.model_copy(update={"dataset": dataset}))
    return order.model_copy(update={"spec": spec})


def _with_checked_dataset(order: RunOrder, raw: UnitSpec, dataset: Dataset) -> RunOrder:
    """Repeats the gate's checks for the changed dataset; their errors become `SourceChanged`."""
    try:
        check_policy(raw.model_copy(update={"dataset": dataset}))
        changed = _with_dataset(order, raw, dataset)
        strategy = strategy_for(raw.endpoint.template)
        strategy.check(changed.spec.model_copy(update={"endpoint": masked(raw.endpoint)}))
        check_types(changed)
    except (ConfigError, GateError) as error:
        raise SourceChanged(f"the dataset changed at the source: {error.message}", hint=error.hint) from error
    return changed
