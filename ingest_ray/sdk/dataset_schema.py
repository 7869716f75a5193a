"""The Arrow schema that a dataset declares before its first row: every batch of a unit has it."""

from collections.abc import Sequence

import pyarrow as pa

from ingest_ray.sdk.arrow_types import from_text, to_text
from ingest_ray.sdk.errors import ConfigError
from ingest_ray.sdk.types.dataset import Dataset, Fidelity

SOURCE_TYPE = b"ingest:source_type"
LOGICAL = b"ingest:logical"


def schema_of(dataset: Dataset, columns: Sequence[str] | None = None) -> pa.Schema:
    """The schema of every batch of the dataset: its columns in catalog order, without the refused ones.

    `columns` selects (None or empty: all); an unknown or refused name is a `ConfigError`.
    """
    wanted = set(columns or ())
    for name in columns or ():
        column = dataset.column(name)
        if column is None:
            raise ConfigError(f"{dataset.name}: no column '{name}'", hint="collect metadata again if it is new")
        if column.fidelity is Fidelity.REFUSED:
            raise ConfigError(f"{dataset.name}: column '{name}' of type '{column.source_type}' cannot be read")
    fields = []
    for column in dataset.columns:
        if column.fidelity is Fidelity.REFUSED or (wanted and column.name not in wanted):
            continue
        metadata = {SOURCE_TYPE: column.source_type.encode()}
        if column.logical:
            metadata[LOGICAL] = column.logical.encode()
        fields.append(pa.field(column.name, from_text(column.arrow), column.nullable, metadata))
    return pa.schema(fields)


def check_column_types(dataset: Dataset) -> None:
    """Raises `ConfigError` for the first column whose `arrow` is not the text of a type."""
    for column in dataset.columns:
        if column.fidelity is Fidelity.REFUSED:
            continue
        try:
            from_text(column.arrow)
        except ConfigError as error:
            raise ConfigError(
                f"dataset '{dataset.name}', column '{column.name}': {error.message}", hint=_type_hint(column.arrow)
            ) from None


def _type_hint(text: str) -> str:
    """Names the type that PyArrow calls so (`double` is `float64`), else the types that there are."""
    try:
        return f"write '{to_text(pa.type_for_alias(text))}', or give the pyarrow type itself"
    except (ValueError, ConfigError):
        return "docs/types.md has the texts of types; a pyarrow type can be given instead of a text"
