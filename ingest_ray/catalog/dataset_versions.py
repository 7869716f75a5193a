"""The versions of every collected dataset. A dataset that vanished is marked, never deleted."""

import hashlib
import json
from collections.abc import Collection, Iterable

import sqlalchemy as sa

from ingest_ray.catalog.store import now
from ingest_ray.catalog.tables import datasets as t
from ingest_ray.sdk.types import Dataset, Model


class Version(Model):
    """One version of a dataset, valid from `first_seen_at` on."""

    dataset: Dataset
    version: int
    first_seen_at: str
    last_seen_at: str
    gone_at: str | None = None
    is_current: bool = True


class Differences(Model):
    """The changes of one collection, as dataset names."""

    found: int = 0
    added: tuple[str, ...] = ()
    changed: tuple[str, ...] = ()
    gone: tuple[str, ...] = ()


def shape(dataset: Dataset) -> str:
    """The parts of a dataset whose change makes a new version: columns with types, nullability and fidelity, keys, kind."""
    facts = [
        dataset.fingerprint,
        dataset.kind,
        dataset.primary_key,
        sorted(dataset.unique_keys),
        [(column.logical, column.fidelity) for column in dataset.columns],
    ]
    return hashlib.sha256(json.dumps(facts).encode()).hexdigest()[:32]


def current(connection: sa.Connection, endpoint_id: str) -> list[Dataset]:
    """The datasets of an endpoint that exist now, by name."""
    query = sa.select(t).where(t.c.endpoint_id == endpoint_id, t.c.is_current, t.c.gone_at.is_(None)).order_by(t.c.name)
    return [_read(row).dataset for row in connection.execute(query).mappings()]


def known(connection: sa.Connection, endpoint_id: str) -> dict[str, Dataset]:
    """The newest version of every dataset that has a dot in one of its parts, also of vanished ones, by name: only such
    names can be those of two objects."""
    query = sa.select(t).where(t.c.endpoint_id == endpoint_id, t.c.is_current, t.c.name.like("%.%.%"))
    return {row["name"]: _read(row).dataset for row in connection.execute(query).mappings()}


def find(connection: sa.Connection, endpoint_id: str, name: str) -> Version | None:
    """The current version of a dataset, also of one that vanished."""
    query = sa.select(t).where(t.c.endpoint_id == endpoint_id, t.c.name == name, t.c.is_current)
    row = connection.execute(query).mappings().first()
    return None if row is None else _read(row)


def history(connection: sa.Connection, endpoint_id: str, name: str) -> list[Version]:
    query = sa.select(t).where(t.c.endpoint_id == endpoint_id, t.c.name == name).order_by(t.c.version)
    return [_read(row) for row in connection.execute(query).mappings()]


def named(connection: sa.Connection, dataset_ids: Collection[tuple[str, str]]) -> dict[tuple[str, str], Version]:
    """The current versions of datasets, also of vanished ones, by endpoint and name."""
    by_endpoint: dict[str, list[str]] = {}
    for endpoint_id, name in dataset_ids:
        by_endpoint.setdefault(endpoint_id, []).append(name)
    any_of = [sa.and_(t.c.endpoint_id == one, t.c.name.in_(names)) for one, names in by_endpoint.items()]
    if not any_of:
        return {}
    query = sa.select(t).where(sa.or_(*any_of), t.c.is_current)
    return {(row["endpoint_id"], row["name"]): _read(row) for row in connection.execute(query).mappings()}


def search(
    connection: sa.Connection, endpoint_ids: Collection[str], text: str | None = None, limit: int = 1_000
) -> list[Version]:
    """The datasets that exist now, by endpoint and name; `text`: a part of the name, case-insensitive."""
    query = sa.select(t).where(t.c.endpoint_id.in_(endpoint_ids), t.c.is_current, t.c.gone_at.is_(None))
    if text:
        query = query.where(sa.func.lower(t.c.name).contains(text.lower(), autoescape=True))
    rows = connection.execute(query.order_by(t.c.endpoint_id, t.c.name).limit(limit)).mappings()
    return [_read(row) for row in rows]


def first_of_each(
    connection: sa.Connection, endpoint_ids: Collection[str], text: str | None, limit: int
) -> dict[str, list[Version]]:
    """The first `limit` of each endpoint by name, in one statement; `text` as in `search`."""
    position = sa.func.row_number().over(partition_by=t.c.endpoint_id, order_by=t.c.name).label("position")
    numbered = sa.select(t, position).where(t.c.endpoint_id.in_(endpoint_ids), t.c.is_current, t.c.gone_at.is_(None))
    if text:
        numbered = numbered.where(sa.func.lower(t.c.name).contains(text.lower(), autoescape=True))
    ranked = numbered.subquery()
    query = sa.select(ranked).where(ranked.c.position <= limit).order_by(ranked.c.endpoint_id, ranked.c.position)
    found: dict[str, list[Version]] = {}
    for row in connection.execute(query).mappings():
        found.setdefault(row["endpoint_id"], []).append(_read(row))
    return found


def record(
    connection: sa.Connection,
    endpoint_id: str,
    found: Iterable[Dataset],
    *,
    is_partial: bool = False,
    keeps: Collection[str] = (),
) -> Differences:
    """Stores one collection of an endpoint. A complete one marks the datasets that it did not find as gone, except those of
    `keeps`; a partial one does not."""
    moment = now()
    query = sa.select(t).where(t.c.endpoint_id == endpoint_id, t.c.is_current)
    known = {row["name"]: row for row in connection.execute(query).mappings()}
    seen: set[str] = set()
    added, changed = [], []
    new: list[dict[str, object]] = []
    again: list[dict[str, object]] = []
    for dataset in found:
        seen.add(dataset.name)
        old = known.get(dataset.name)
        if old is None:
            added.append(dataset.name)
            new.append(_values(dataset, 1, moment))
        elif old["shape"] != shape(dataset):
            changed.append(dataset.name)
            _at(connection, old, is_current=False)
            new.append(_values(dataset, old["version"] + 1, moment))
        else:
            if old["gone_at"] is not None:
                added.append(dataset.name)
            again.append({"name_": dataset.name, "version_": old["version"], "document": dataset.model_dump_json()})
    if new:
        connection.execute(t.insert(), new)
    if again:
        is_row = (
            t.c.endpoint_id == endpoint_id,
            t.c.name == sa.bindparam("name_"),
            t.c.version == sa.bindparam("version_"),
        )
        connection.execute(
            t.update().where(*is_row).values(last_seen_at=moment, gone_at=None, document=sa.bindparam("document")),
            again,
        )
    missing = [name for name, row in known.items() if name not in seen and name not in keeps and row["gone_at"] is None]
    gone = [] if is_partial else missing
    for name in gone:
        _at(connection, known[name], gone_at=moment)
    return Differences(found=len(seen), added=tuple(added), changed=tuple(changed), gone=tuple(sorted(gone)))


def observe(connection: sa.Connection, dataset: Dataset) -> bool:
    """Stores a dataset as a run found it; True where that made a new version."""
    query = sa.select(t).where(t.c.endpoint_id == dataset.endpoint_id, t.c.name == dataset.name, t.c.is_current)
    old = connection.execute(query).mappings().first()
    if old is not None and old["shape"] == shape(dataset) and old["gone_at"] is None:
        return False
    if old is not None:
        _at(connection, old, is_current=False)
    _insert(connection, dataset, old["version"] + 1 if old is not None else 1, now())
    return True


def _insert(connection: sa.Connection, dataset: Dataset, version: int, moment: str) -> None:
    connection.execute(t.insert().values(**_values(dataset, version, moment)))


def _values(dataset: Dataset, version: int, moment: str) -> dict[str, object]:
    return {
        "endpoint_id": dataset.endpoint_id,
        "name": dataset.name,
        "version": version,
        "shape": shape(dataset),
        "document": dataset.model_dump_json(),
        "first_seen_at": moment,
        "last_seen_at": moment,
        "is_current": True,
    }


def _at(connection: sa.Connection, row: sa.RowMapping, **values: object) -> None:
    where = (t.c.endpoint_id == row["endpoint_id"], t.c.name == row["name"], t.c.version == row["version"])
    connection.execute(t.update().where(*where).values(**values))


def _read(row: sa.RowMapping) -> Version:
    return Version(
        dataset=Dataset.model_validate_json(row["document"]),
        version=row["version"],
        first_seen_at=row["first_seen_at"],
        last_seen_at=row["last_seen_at"],
        gone_at=row["gone_at"],
        is_current=row["is_current"],
    )
