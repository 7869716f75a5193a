"""Single decisions of the checkpoint, each by the scopes that lead to it."""

import pytest

from ingest_ray.core.checkpoint import opened
from ingest_ray.sdk.types import Effect, Scope, SegmentState
from tests.core.in_memory_installation import KEY

LOAD = Scope(scope_id="load", segment="s", axis=KEY, effect=Effect.LOAD, horizon=(9,), is_insert_only=True)


@pytest.mark.parametrize("is_target_empty", [False, True])
@pytest.mark.parametrize("is_resumable", [True, False])
def test_a_load_inserts_only_where_the_target_was_empty_when_its_generation_began(
    *, is_target_empty: bool, is_resumable: bool
) -> None:
    """A resumed load that once had to merge must go on merging, although a strategy plans it as insert-only each time."""
    planned = LOAD.model_copy(update={"is_resumable": is_resumable})
    state, _ = opened(SegmentState(segment="s"), [planned], is_target_empty=is_target_empty)
    assert state.scopes[0].is_insert_only is is_target_empty
    resumed, scopes = opened(state, [planned], is_target_empty=is_target_empty)
    assert [scope.is_insert_only for scope in (*resumed.scopes, *scopes)] == [is_target_empty] * 2


def test_a_resumed_load_does_not_begin_to_insert_when_its_target_was_emptied() -> None:
    state, _ = opened(SegmentState(segment="s"), [LOAD], is_target_empty=False)
    _, scopes = opened(state, [LOAD], is_target_empty=True)
    assert not scopes[0].is_insert_only


def test_a_load_that_starts_again_merges_into_the_rows_of_its_first_generation() -> None:
    planned = LOAD.model_copy(update={"is_resumable": False})
    state, _ = opened(SegmentState(segment="s"), [planned], is_target_empty=True)
    again, scopes = opened(state, [planned], is_target_empty=False)
    assert (again.generation, scopes[0].is_insert_only) == (state.generation + 1, False)
