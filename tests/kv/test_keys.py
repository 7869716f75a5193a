"""Key names: the published form for ordinary ids, reversible and without collisions for all others."""

from hypothesis import example, given
from hypothesis import strategies as st

from ingest_ray.kv.keys import (
    intent_key,
    lease_key,
    quoted,
    segment_key,
    segment_of,
    segment_prefix,
    unit_key,
    unit_of,
    unquoted,
)
from ingest_ray.sdk.refs import UnitRef

_ids = st.text(alphabet=st.sampled_from(":%a5. \x00é\ud800"), max_size=8) | st.text(max_size=8)


def _key(ids: tuple[str, str, str, str]) -> str:
    vendor, endpoint_id, unit_id, sink_id = ids
    return unit_key(vendor, UnitRef(endpoint_id, unit_id), sink_id)


def test_ordinary_ids_have_the_published_form() -> None:
    unit = unit_key("postgres", UnitRef("shop", "public.orders"), "lake")
    assert unit == "ingest::postgres::endpoint::shop::unit::public.orders::sink::lake"
    assert segment_key(unit, "all") == f"{unit}::segment::all"
    assert lease_key(unit) == f"{unit}::lease"
    assert intent_key(unit) == f"{unit}::intent"


@given(_ids)
@example("\n")  # `$` stands before a last line feed, too
@example(":\n")
def test_any_id_comes_back_and_never_holds_the_separator(part: str) -> None:
    assert unquoted(quoted(part)) == part
    assert "::" not in f"x::{quoted(part)}::x".removeprefix("x::").removesuffix("::x")
    assert not quoted(part).startswith(":")
    assert not quoted(part).endswith(":")


@given(st.tuples(_ids, _ids, _ids, _ids), _ids)
def test_keys_are_read_back_to_the_ids_that_made_them(ids: tuple[str, str, str, str], segment: str) -> None:
    unit = _key(ids)
    assert unit_of(unit) == ids
    assert unit_of(segment_key(unit, segment)) == ids
    assert segment_of(segment_key(unit, segment)) == segment


@given(st.tuples(_ids, _ids, _ids, _ids), st.tuples(_ids, _ids, _ids, _ids))
def test_d41_no_unit_reaches_into_the_keys_of_another(
    one: tuple[str, str, str, str], other: tuple[str, str, str, str]
) -> None:
    if one != other:
        assert _key(one) != _key(other)
        assert not segment_key(_key(other), "s").startswith(segment_prefix(_key(one)))


def test_other_keys_are_not_taken_for_a_units() -> None:
    assert unit_of("ingest::a::b::c") is None
    assert unit_of("other::a::endpoint::b::unit::c::sink::d") is None
