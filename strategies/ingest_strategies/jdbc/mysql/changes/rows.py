"""Changes of a table, from the rows of its transactions."""

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace

from ingest_ray.sdk.errors import SourceChanged, SourceError
from ingest_ray.sdk.types import Dataset
from ingest_strategies.jdbc.changes.change import KEPT, Change, Relation, Value
from ingest_strategies.jdbc.mysql.changes import row_values as types
from ingest_strategies.jdbc.mysql.changes.addresses import LENGTHS, TEXTS
from ingest_strategies.jdbc.mysql.changes.character_sets import CharacterSets
from ingest_strategies.jdbc.mysql.changes.positions import LogPosition
from ingest_strategies.jdbc.mysql.changes.row_values import Decode
from ingest_strategies.jdbc.mysql.changes.table_map import MappedColumn, TableMap, decode_table_map
from ingest_strategies.jdbc.mysql.changes.transactions import RowsEvent, Transaction, rows_begin

_TEXT_BYTES = {types.TINY_BLOB: 1, types.BLOB: 2, types.MEDIUM_BLOB: 3, types.LONG_BLOB: 4}
FULL_METADATA = "SET GLOBAL binlog_row_metadata = FULL; then `ingest-ray reset` the unit, and run"
_KINDS = {  # of the log, by the type of the catalog: what is compared where the log has no names
    "tinyint": (types.TINY,), "smallint": (types.SHORT,), "mediumint": (types.INT24,), "int": (types.LONG,), "bigint": (types.LONGLONG,),
    "float": (types.FLOAT,), "double": (types.DOUBLE,), "decimal": (types.NEWDECIMAL,), "bit": (types.BIT,), "year": (types.YEAR,),
    "date": (types.DATE, types.NEWDATE), "time": (types.TIME2, types.TIME_OLD), "datetime": (types.DATETIME2, types.DATETIME_OLD),
    "timestamp": (types.TIMESTAMP2, types.TIMESTAMP_OLD), "char": (types.STRING,), "binary": (types.STRING,), "uuid": (types.STRING,),
    "inet4": (types.STRING,), "inet6": (types.STRING,), "varchar": (types.VARCHAR, types.VARCHAR_COMPRESSED, types.VAR_STRING),
    "varbinary": (types.VARCHAR, types.VARCHAR_COMPRESSED, types.VAR_STRING), "enum": (types.ENUM,), "set": (types.SET,), "json": (types.JSON, types.BLOB),
}  # fmt: skip
_BLOBS = (types.BLOB, types.BLOB_COMPRESSED, types.GEOMETRY, types.STRING)


@dataclass(frozen=True)
class CatalogColumn:
    """What the catalog says of a column now: `data_type` and `column_type` of the information schema."""

    name: str
    data_type: str
    column_type: str
    charset: str | None

    @property
    def is_unsigned(self) -> bool:
        return "unsigned" in self.column_type


def catalog_columns(dataset: Dataset) -> list[CatalogColumn]:
    facts = dataset.facts
    kinds, charsets = facts["types"], facts["charsets"]
    assert isinstance(kinds, dict)
    assert isinstance(charsets, dict)
    return [
        CatalogColumn(column.name, str(kinds[column.name]), column.source_type,
                      str(charsets[column.name]) if column.name in charsets else None)
        for column in dataset.columns
    ]  # fmt: skip


@dataclass(frozen=True)
class RowForm:
    """How the rows behind one description of the table are decoded."""

    relation: Relation
    decoders: tuple[Decode, ...]
    partial: dict[frozenset[str], Relation] = field(default_factory=dict)
    """The same table where the log has only these columns of old rows."""


@dataclass
class RowDecoder:
    """Of one table. Where the log has no names of columns, the catalog's are taken, in its order: `is_unnamed` says so."""

    dataset: Dataset
    sets: CharacterSets
    is_unnamed: bool = False
    _forms: dict[bytes, RowForm] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._catalog = catalog_columns(self.dataset)

    def changes(self, transaction: Transaction) -> Iterator[Change]:
        number = LogPosition(transaction.file, transaction.offset, "").number
        at_us, seq = transaction.at_s * 1_000_000, 0
        for item in transaction.items:
            if item == "truncate":
                relation = Relation(0, "", self.dataset.name, "f", (), frozenset())
                yield Change("truncate", number, seq, at_us, relation, None, None)
                seq += 1
                continue
            form = self._form(item.table_map)
            relation, is_whole = self._relation(item, form)
            for old, new in rows_of(item, form):
                yield Change(item.kind, number, seq, at_us, relation, old, new, is_whole and old is not None)
                seq += 1

    def _relation(self, item: RowsEvent, form: RowForm) -> tuple[Relation, bool]:
        """With the columns that the event has of old rows, and whether those are all. Raises `SourceError` for an insert without all."""
        first = images_of(item, form)[0]
        if len(first) == len(form.decoders):
            return form.relation, True
        if item.kind == "insert":
            raise SourceError(
                f"{self.dataset.name}: the log has inserted rows without all columns (binlog_row_image is not FULL)",
                hint="SET GLOBAL binlog_row_image = FULL, in every session, too; then `ingest-ray reset` the unit, and run",
            )
        names = frozenset(form.relation.columns[index] for index in first)
        known = form.partial.get(names)
        if known is None:
            known = form.partial[names] = replace(
                form.relation, oid=-1 - len(self._forms) - len(form.partial), key=names
            )
        return known, False

    def _form(self, table_map: bytes) -> RowForm:
        form = self._forms.get(table_map)
        if form is None:
            form = self._forms[table_map] = self._make_form(decode_table_map(table_map))
        return form

    def _make_form(self, table: TableMap) -> RowForm:
        if table.has_names:
            named = {column.name: column for column in self._catalog}
            known = [named.get(str(column.name)) for column in table.columns]
            names = tuple(str(column.name) for column in table.columns)
        else:
            self.is_unnamed = True
            self._require_catalog(table)
            known, names = list(self._catalog), tuple(column.name for column in self._catalog)
        decoders = tuple(self._decoder(column, of) for column, of in zip(table.columns, known, strict=True))
        relation = Relation(len(self._forms), table.schema, table.table, "f", names, frozenset(names))
        return RowForm(relation, decoders)

    def _require_catalog(self, table: TableMap) -> None:
        """Raises `SourceChanged` where the rows cannot be of the columns that the table has now."""
        kinds = [column.kind for column in table.columns]
        fits = len(kinds) == len(self._catalog) and all(
            kind in _KINDS.get(column.data_type, _BLOBS) for kind, column in zip(kinds, self._catalog, strict=True)
        )
        if not fits:
            raise SourceChanged(
                f"{self.dataset.name}: the log has rows of other columns than the table has now, and does not name them",
                hint=FULL_METADATA,
            )

    def _decoder(self, column: MappedColumn, known: CatalogColumn | None) -> Decode:
        first, second = column.meta
        kind = column.kind
        if kind in types._INT_BYTES:
            is_unsigned = column.is_unsigned if column.is_unsigned is not None else bool(known and known.is_unsigned)
            return types.int_decoder(kind, is_unsigned)
        if kind in (types.FLOAT, types.DOUBLE):
            return types.float_decoder(kind)
        if kind == types.NEWDECIMAL:
            return types.decimal_decoder(first, second)
        if kind in (types.ENUM, types.SET):
            make = types.enum_decoder if kind == types.ENUM else types.set_decoder
            return make(second, self._values(column, known))
        if kind == types.BIT:
            return types.bit_decoder(second + (1 if first else 0))
        if (times := time_decoder_of(kind, first, known)) is not None:
            return times
        return self._text_decoder(column, known)

    def _values(self, column: MappedColumn, known: CatalogColumn | None) -> Sequence[bytes]:
        if column.values is None:
            return [value.encode() for value in listed_values(known.column_type if known else "")]
        convert = self.sets.converter(self._charset(column, known))
        return column.values if convert is None else [convert(value) for value in column.values]

    def _charset(self, column: MappedColumn, known: CatalogColumn | None) -> str | None:
        if column.collation is not None:
            return self.sets.name_of(column.collation)
        return known.charset if known else None

    def _text_decoder(self, column: MappedColumn, known: CatalogColumn | None) -> Decode:
        first, second = column.meta
        charset = self._charset(column, known)
        convert = self.sets.converter(charset)
        match column.kind:
            case types.VARCHAR | types.VAR_STRING | types.VARCHAR_COMPRESSED:
                size = 2 if first | second << 8 > 255 else 1
                return types.text_decoder(size, convert, column.kind == types.VARCHAR_COMPRESSED)
            case types.STRING:
                if known is not None and known.data_type in TEXTS and second == LENGTHS[known.data_type]:
                    convert = TEXTS[known.data_type]
                elif charset in (None, "binary"):
                    convert = types.padded(second)
                return types.text_decoder(2 if second > 255 else 1, convert)
            case types.BLOB | types.BLOB_COMPRESSED | types.GEOMETRY:
                return types.text_decoder(first, convert, column.kind == types.BLOB_COMPRESSED)
            case types.TINY_BLOB | types.MEDIUM_BLOB | types.LONG_BLOB:
                return types.text_decoder(_TEXT_BYTES[column.kind], convert)
        raise SourceError(
            f"{self.dataset.name}: column '{column.name or ''}' is of type {column.kind} in the log, which is not read",
            hint="policy exclude_columns",
        )


def time_decoder_of(kind: int, digits: int, known: CatalogColumn | None) -> Decode | None:
    simple = {types.DATE: types.decode_date, types.NEWDATE: types.decode_date, types.YEAR: types.decode_year}
    with_digits: dict[int, Callable[[int], Decode]] = {
        types.DATETIME2: types.datetime_decoder,
        types.TIMESTAMP2: types.timestamp_decoder,
        types.TIME2: types.time_decoder,
    }
    old = {
        types.TIMESTAMP_OLD: types.decode_old_timestamp,
        types.DATETIME_OLD: types.decode_old_datetime,
        types.TIME_OLD: types.decode_old_time,
    }
    if kind in with_digits:
        return with_digits[kind](digits)
    if kind in old and known is not None and "(" in known.column_type:
        raise SourceError(
            f"column '{known.name}': {known.column_type} is stored in MariaDB's old form of fractions, which is not read from the log",
            hint="SET GLOBAL mysql56_temporal_format = ON; ALTER TABLE ... FORCE; then reset the unit",
        )
    return simple.get(kind) or old.get(kind)


def listed_values(column_type: str) -> list[str]:
    """The values of `enum('a','it''s')`."""
    return [item.replace("''", "'") for item in re.findall(r"'((?:[^']|'')*)'", column_type)]


def images_of(item: RowsEvent, form: RowForm) -> list[list[int]]:
    """The columns that the event has of old and of new rows, whichever it has."""
    count = len(form.decoders)
    found, at = rows_begin(item.body, item.kind, item.version)
    if found != count:
        raise SourceError(f"{form.relation.table}: rows of {found} columns, where its description has {count}")
    size, images = (count + 7) // 8, 2 if item.kind == "update" else 1
    begin = at - images * size
    return [present_columns(item.body[begin + size * one : begin + size * (one + 1)], count) for one in range(images)]


def rows_of(item: RowsEvent, form: RowForm) -> Iterator[tuple[list[Value] | None, list[Value] | None]]:
    """Old and new values of each row, whichever the event has; columns that it leaves out are KEPT."""
    body, present = item.body, images_of(item, form)
    _, at = rows_begin(body, item.kind, item.version)
    while at < len(body):
        first, at = decode_row(body, at, form.decoders, present[0])
        if item.kind == "update":
            second, at = decode_row(body, at, form.decoders, present[1])
            yield first, second
        else:
            yield (None, first) if item.kind == "insert" else (first, None)


def present_columns(bits: bytes, count: int) -> list[int]:
    return [index for index in range(count) if bits[index >> 3] >> (index & 7) & 1]


def decode_row(body: bytes, at: int, decoders: Sequence[Decode], present: Sequence[int]) -> tuple[list[Value], int]:
    nulls = at
    at += (len(present) + 7) // 8
    values: list[Value] = [KEPT] * len(decoders)
    for at_bit, index in enumerate(present):
        if body[nulls + (at_bit >> 3)] >> (at_bit & 7) & 1:
            values[index] = None
        else:
            values[index], at = decoders[index](body, at)
    return values, at
