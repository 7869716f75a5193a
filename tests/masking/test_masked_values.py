"""Masks of single columns: one mask per value, whatever its type, and the same for many values at once as for one."""

import hashlib
from datetime import date, datetime
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pytest
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.cmac import CMAC
from hypothesis import given, settings
from hypothesis import strategies as st

from ingest_ray.engine.masking.keyed_hash import LONGEST_AT_ONCE, KeyedHash
from ingest_ray.engine.masking.masked_dataset import check_masks
from ingest_ray.engine.masking.masked_values import Masker
from ingest_ray.sdk.dataset_schema import LOGICAL, SOURCE_TYPE
from ingest_ray.sdk.errors import ConfigError
from ingest_ray.sdk.types import Endpoint, UnitConfig, UnitSpec
from ingest_strategies.atlassian.tables import dataset_of
from ingest_strategies.jira.tables import USERS

KEY = b"0123456789abcdef0123"
TEXT = pa.field("c", pa.string())


def masked(mask: str, array: pa.Array, target: pa.DataType | None = None, **metadata: bytes) -> list[Any]:
    field = pa.field(
        "c", array.type, metadata={SOURCE_TYPE: metadata.get("source", b""), LOGICAL: metadata.get("logical", b"")}
    )
    column, misfits = Masker({"c": mask}, lambda: KEY).mask_column(array, field, pa.field("c", target or pa.string()))
    assert misfits is None
    values: list[Any] = column.to_pylist()
    return values


def hashed(text: bytes) -> str:
    return KeyedHash(KEY).hash_value(text)


SIZES = st.sampled_from([0, 1, 15, 16, 17, 31, 32, 33, 48, 100, LONGEST_AT_ONCE, LONGEST_AT_ONCE + 1, 3000])
VALUES = st.lists(st.one_of(st.none(), SIZES.flatmap(lambda size: st.binary(min_size=size, max_size=size))), min_size=1)


@settings(max_examples=60, deadline=None)
@given(VALUES, st.binary(min_size=16, max_size=64), st.booleans(), st.integers(0, 3))
def test_many_values_at_once_have_the_digests_of_each_alone(
    values: list[bytes | None], key: bytes, is_large: bool, skipped: int
) -> None:
    array = pa.array(values, pa.large_binary() if is_large else pa.binary())[skipped:]
    keyed = KeyedHash(key)
    wanted = [None if value is None else keyed.hash_value(value) for value in values[skipped:]]
    assert keyed.hash_column(array).to_pylist() == wanted


@pytest.mark.parametrize("distinct", [1, 7, 127, 129, 5000])
def test_values_that_repeat_have_the_digests_of_each_alone(distinct: int) -> None:
    values = [None if row % 11 == 0 else f"value {row % distinct}" for row in range(5000)]
    keyed = KeyedHash(KEY)
    wanted = {value: None if value is None else keyed.hash_value(value.encode()) for value in set(values)}
    found = keyed.hash_column(pa.array(["left out", *values]).slice(1))
    assert found.type == pa.string()
    assert found.to_pylist() == [wanted[value] for value in values]


def test_the_hash_is_that_of_the_library_under_the_sha_256_of_the_key() -> None:
    mac = CMAC(AES(hashlib.sha256(KEY).digest()))
    mac.update(b"ada@example.com")
    assert masked("hmac", pa.array(["ada@example.com"])) == [mac.finalize().hex()]


@pytest.mark.parametrize(
    ("array", "metadata"),
    [
        (pa.array(["42"]), {}),
        (pa.array(["42"], pa.large_string()), {}),
        (pa.array([b"42"], pa.binary()), {}),
        (pa.array([b"42"], pa.binary(2)), {}),
        (pa.array([42], pa.int16()), {}),
        (pa.array([42], pa.uint64()), {}),
        (pa.array([Decimal("42.00")], pa.decimal128(12, 2)), {}),
        (pa.array([Decimal("42")], pa.decimal256(40, 0)), {}),
        (pa.array(["42   "]), {"source": b"character(5)"}),
    ],
)
def test_one_value_has_one_mask_in_all_types(array: pa.Array, metadata: Any) -> None:
    assert masked("hmac", array, **metadata) == [hashed(b"42")]


def test_numbers_keep_their_zeros_and_signs() -> None:
    assert masked("hmac", pa.array([-100, 0])) == [hashed(b"-100"), hashed(b"0")]
    assert masked("hmac", pa.array([Decimal("-1.50"), Decimal("100")], pa.decimal128(9, 2))) == [
        hashed(b"-1.5"),
        hashed(b"100"),
    ]


def test_a_day_has_one_mask_as_a_date_and_as_a_timestamp_at_midnight() -> None:
    day, noon = datetime(2024, 1, 5), datetime(2024, 1, 5, 12, 30, 0, 500_000)
    assert masked("hmac", pa.array([date(2024, 1, 5)])) == [hashed(b"2024-01-05")]
    for unit in ("s", "ms", "us", "ns"):
        assert masked("hmac", pa.array([day], pa.timestamp(unit))) == [hashed(b"2024-01-05")]
    for unit in ("ms", "us", "ns"):
        assert masked("hmac", pa.array([noon], pa.timestamp(unit))) == [hashed(b"2024-01-05 12:30:00.5")]


def test_uuids_have_one_mask_in_either_case() -> None:
    assert masked("hmac", pa.array(["AB-CD", "ab-cd"]), logical=b"uuid") == [hashed(b"ab-cd")] * 2
    assert len(set(masked("hmac", pa.array(["AB-CD", "ab-cd"])))) == 2


def test_the_last_four_of_short_values_are_not_shown() -> None:
    values = pa.array(["4111111111111234", "1234567", "12345678", "1234-5678  ", "", None, "日本語日本語日本"])
    assert masked("last4", values) == ["1234", "****", "5678", "5678", "****", None, "本語日本"]
    assert masked("last4", pa.array([4111111111111234, 12])) == ["1234", "****"]


def test_years() -> None:
    assert masked("year", pa.array([date(1815, 12, 10), None]), pa.int32()) == [1815, None]
    assert masked("year", pa.array([datetime(2024, 12, 31, 23, 59)]), pa.int32()) == [2024]
    column, misfits = Masker({"c": "year"}, lambda: KEY).mask_column(pa.array(["1815-12-10", "soon", None]), TEXT, TEXT)
    assert column.to_pylist() == [1815, None, None]
    assert misfits.to_pylist() == [False, True, False]


def test_redacted_texts_and_other_values() -> None:
    assert masked("redact", pa.array(["a", None, ""])) == ["***", None, "***"]
    kind = pa.struct([("a", pa.int32())])
    assert masked("redact", pa.array([{"a": 1}], kind), kind) == [None]


def test_raw_values_of_rejected_rows_are_masked_whatever_they_are() -> None:
    def raw(mask: str, value: Any) -> Any:
        return Masker({"c": mask}, lambda: KEY).mask_raw("c", value)

    assert raw("hmac", "ada") == hashed(b"ada")
    assert raw("hmac", b"\xff") == hashed(b"\xff")
    assert raw("hmac", "\ud800") == hashed(b"\xed\xa0\x80")
    assert raw("redact", {"a": 1}) == "***"
    assert (raw("last4", "4111111111111234"), raw("last4", 12)) == ("1234", "****")
    assert (raw("year", date(1815, 1, 1)), raw("year", "1815-12-10"), raw("year", "soon")) == (1815, 1815, "***")
    assert raw("hmac", None) is None


@pytest.mark.parametrize("mode", ["raw", "cdm"])
def test_a_whole_object_beside_masked_columns_is_refused_by_name(mode: str) -> None:
    endpoint = Endpoint(endpoint_id="jira", template="jira.http")
    dataset = dataset_of(endpoint, USERS, None, {})

    def check(mask: dict[str, str], **policy: Any) -> None:
        config = {"mode": mode, "sink_endpoint_id": "lake", "policy": {"mask": mask, **policy}}
        unit = {"endpoint_id": "jira", "unit_id": "jira.users", "sink_id": "lake"}
        check_masks(UnitSpec(endpoint=endpoint, dataset=dataset, config=UnitConfig.model_validate({**unit, **config})))

    with pytest.raises(ConfigError, match="'payload'"):
        check({"email": "hmac"})
    if mode == "cdm":
        with pytest.raises(ConfigError, match="CDM mapper"):
            check({"email": "hmac", "payload": "redact"})
    else:
        check({"email": "hmac", "payload": "redact"})
        check({"email": "hmac"}, columns=["account_id", "email"])
        check({"email": "hmac"}, exclude_columns=["payload"])
