"""Sorts what a source described: datasets under names of their own, and objects that could not be described. Pure."""

from collections.abc import Iterable, Mapping

from ingest_ray.sdk.dataset_schema import check_column_types
from ingest_ray.sdk.errors import ConfigError
from ingest_ray.sdk.types import Dataset, Model
from ingest_ray.sdk.types.dataset import DISTINCT_NAME, FAULT


class Undescribed(Model):
    """An object that the source has and could not describe. The catalog keeps what it had of it."""

    name: str
    reason: str


class FoundDatasets(Model):
    datasets: tuple[Dataset, ...]
    undescribed: tuple[Undescribed, ...] = ()


def sort_found(endpoint_id: str, found: Iterable[Dataset], known: Mapping[str, Dataset]) -> FoundDatasets:
    """`known`: the datasets that the catalog has, vanished ones too, by name.

    Raises:
        ConfigError: the strategy breaks its contract: names that are not unique, ids of another endpoint, or no dataset whose
            column types are right.
    """
    datasets: dict[str, Dataset] = {}
    broken: list[Undescribed] = []
    type_errors: list[ConfigError] = []
    for original in found:
        dataset = _with_own_name(original, datasets, known)
        if dataset.name in datasets or dataset.endpoint_id != endpoint_id:
            raise ConfigError(
                f"{endpoint_id}: the strategy gave dataset '{dataset.dataset_id}' twice or of another endpoint"
            )
        if FAULT in dataset.facts:
            broken.append(Undescribed(name=dataset.name, reason=str(dataset.facts[FAULT])))
            continue
        try:
            check_column_types(dataset)
        except ConfigError as error:
            broken.append(Undescribed(name=dataset.name, reason=error.message))
            type_errors.append(error)
            continue
        datasets[dataset.name] = dataset
    if type_errors and not datasets:
        raise type_errors[0]
    return FoundDatasets(datasets=tuple(datasets.values()), undescribed=tuple(broken))


def _with_own_name(dataset: Dataset, taken: Mapping[str, Dataset], known: Mapping[str, Dataset]) -> Dataset:
    """The dataset under its distinct name where its name is another object's: `a.b`.`c` and `a`.`b.c` are both `a.b.c`.

    A name stays with the object that had it first, also after that object vanished: its unit has a checkpoint.
    """
    distinct = dataset.facts.get(DISTINCT_NAME)
    if not isinstance(distinct, str):
        return dataset
    owner = known.get(dataset.name)
    is_others = dataset.name in taken if owner is None else not _is_same_object(owner, dataset)
    return dataset.model_copy(update={"name": distinct}) if is_others else dataset


def _is_same_object(first: Dataset, second: Dataset) -> bool:
    return all(first.facts.get(part) == second.facts.get(part) for part in ("schema", "table"))
