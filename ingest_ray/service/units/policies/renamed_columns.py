"""Checks the names that a unit's columns get in their target."""

from ingest_ray.sdk.errors import ConfigError
from ingest_ray.sdk.types import Fidelity, UnitSpec

OWN_PREFIXES = ("_ingest_", "_deleted_at", "_source_key")


def check_renames(spec: UnitSpec) -> None:
    """Raises `ConfigError` for a column that does not exist, for a name that another column has, and for names of this product."""
    renames = spec.policy.renames
    if not renames:
        return
    if spec.is_cdm:
        raise ConfigError(
            f"unit '{spec.ref}': policy.rename has no effect in CDM mode, where columns are the models'",
            hint="leave it out",
        )
    known = [column.name for column in spec.dataset.columns]
    for old, new in renames.items():
        if old not in known and old not in spec.policy.exclude_columns:
            raise ConfigError(
                f"unit '{spec.ref}': policy.rename names column '{old}', which the dataset does not have",
                hint=f"columns, by the source's names: {', '.join(known[:30])}",
            )
        if not new or new.startswith(OWN_PREFIXES):
            raise ConfigError(f"unit '{spec.ref}': policy.rename: '{old}' cannot be named '{new}'")
    _refuse_collisions(spec, renames)


def _refuse_collisions(spec: UnitSpec, renames: dict[str, str]) -> None:
    read = spec.policy.columns
    taken: dict[str, str] = {}
    for column in spec.dataset.columns:
        if column.fidelity is Fidelity.REFUSED or (read and column.name not in read):
            continue
        name = renames.get(column.name, column.name)
        other = taken.setdefault(name, column.name)
        if other != column.name:
            raise ConfigError(
                f"unit '{spec.ref}': policy.rename gives columns '{other}' and '{column.name}' one name: '{name}'",
                hint="name one of them differently, or leave it out with exclude_columns",
            )
