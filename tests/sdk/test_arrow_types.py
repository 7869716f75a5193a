"""Every type that a source may stage can be written as text and parsed again."""

import subprocess
import sys

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest_ray.sdk.arrow_types import from_text, to_text
from ingest_ray.sdk.dataset_schema import LOGICAL, SOURCE_TYPE, check_column_types, schema_of
from ingest_ray.sdk.errors import ConfigError
from ingest_ray.sdk.types import Column, Dataset, Fidelity

PLAIN = [
    pa.null(), pa.bool_(), pa.int8(), pa.int16(), pa.int32(), pa.int64(), pa.uint8(), pa.uint16(), pa.uint32(),
    pa.uint64(), pa.float16(), pa.float32(), pa.float64(), pa.string(), pa.large_string(), pa.binary(),
    pa.large_binary(), pa.date32(), pa.date64(), pa.month_day_nano_interval(), pa.binary(16),
]  # fmt: skip
UNITS = ["s", "ms", "us", "ns"]
ZONES = [None, "UTC", "Europe/Berlin", "+02:00", "America/Argentina/Buenos_Aires", "Etc/GMT+5"]
DECIMALS = st.one_of(
    st.integers(1, 38).flatmap(lambda p: st.integers(-5, p).map(lambda s: pa.decimal128(p, s))),
    st.integers(1, 76).flatmap(lambda p: st.integers(-5, p).map(lambda s: pa.decimal256(p, s))),
)
LEAVES = st.one_of(
    st.sampled_from(PLAIN),
    DECIMALS,
    st.builds(pa.timestamp, st.sampled_from(UNITS), st.sampled_from(ZONES)),
    st.builds(pa.duration, st.sampled_from(UNITS)),
    st.sampled_from([pa.time32("s"), pa.time32("ms"), pa.time64("us"), pa.time64("ns")]),
)
NAMES = st.text(st.characters(codec="utf-8", exclude_characters="\x00"), min_size=1, max_size=8)


def nested(inner: st.SearchStrategy[pa.DataType]) -> st.SearchStrategy[pa.DataType]:
    fields = st.builds(
        lambda name, kind, null: pa.field(name, kind, null or kind == pa.null()), NAMES, inner, st.booleans()
    )
    return st.one_of(
        fields.map(pa.list_),
        inner.map(pa.list_),
        fields.map(pa.large_list),
        st.lists(fields, max_size=3).map(pa.struct),
    )


@given(st.recursive(LEAVES, nested, max_leaves=5))
def test_what_is_written_is_read_back(kind: pa.DataType) -> None:
    back = from_text(to_text(kind))
    assert back.equals(kind, check_metadata=True)
    assert to_text(back) == to_text(kind)


@pytest.mark.parametrize(
    "text", ["", "int", "list<", "list<int32>>", "decimal128(40, 2)", "timestamp[xs]", "struct<a int32>", "int32 int32"]
)
def test_other_text_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="is not the text of an Arrow type"):
        from_text(text)


def test_a_dictionary_has_no_text() -> None:
    with pytest.raises(ConfigError):
        to_text(pa.dictionary(pa.int32(), pa.string()))


DATASET = Dataset(
    endpoint_id="e",
    name="t",
    columns=(
        Column(name="id", source_type="uuid", arrow="string", nullable=False, logical="uuid"),
        Column(name="tags", source_type="integer[]", arrow="list<int32>"),
        Column(name="shape", source_type="geometry", arrow="null", fidelity=Fidelity.REFUSED),
    ),
)


def test_a_schema_leaves_refused_columns_out_and_says_where_types_come_from() -> None:
    schema = schema_of(DATASET, None)
    assert schema.names == ["id", "tags"]
    assert schema.field("id").metadata == {SOURCE_TYPE: b"uuid", LOGICAL: b"uuid"}
    assert not schema.field("id").nullable
    assert schema_of(DATASET, ["tags"]).names == ["tags"]
    assert schema_of(DATASET, ()).names == ["id", "tags"]


@pytest.mark.parametrize("name", ["nope", "shape"])
def test_a_column_that_cannot_be_read_cannot_be_selected(name: str) -> None:
    with pytest.raises(ConfigError, match=name):
        schema_of(DATASET, [name])


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        (pa.float64(), "float64"),
        (pa.decimal128(10, 2), "decimal128(10, 2)"),
        (pa.timestamp("us", "UTC"), "timestamp[us, UTC]"),
        (pa.list_(pa.int32()), "list<int32>"),
    ],
)
def test_a_column_takes_an_arrow_type_and_keeps_its_text(kind: pa.DataType, text: str) -> None:
    column = Column(name="c", source_type="x", arrow=kind)
    assert column.arrow == text
    assert Column.model_validate_json(column.model_dump_json()) == column


def test_a_type_that_cannot_be_staged_is_refused_with_the_name_of_its_column() -> None:
    with pytest.raises(ConfigError, match="column 'c': Arrow type 'dictionary"):
        Column(name="c", source_type="x", arrow=pa.dictionary(pa.int32(), pa.string()))


def test_a_text_that_is_no_type_is_refused_when_columns_are_checked() -> None:
    bad = Dataset(endpoint_id="e", name="d", columns=[Column(name="c", source_type="x", arrow="double")])
    with pytest.raises(
        ConfigError, match="dataset 'd', column 'c': 'double' is not the text of an Arrow type"
    ) as caught:
        check_column_types(bad)
    assert caught.value.hint == "write 'float64', or give the pyarrow type itself"
    refused = Column(name="c", source_type="x", arrow="double", fidelity=Fidelity.REFUSED)
    check_column_types(bad.model_copy(update={"columns": (refused,)}))


def test_the_types_can_be_imported_without_pyarrow() -> None:
    code = "import sys, ingest_ray.sdk.types, ingest_ray.sdk.contracts; print('pyarrow' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert done.stdout == "False\n"
