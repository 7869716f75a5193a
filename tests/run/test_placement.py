"""Where a run happens."""

from dataclasses import dataclass

import pytest

from ingest_ray.models import Axis, Effect, Scope
from ingest_ray.run.placement import is_inline
from ingest_ray.settings import RaySettings, Settings
from ingest_ray.work.planner import Outline

KEYED = Scope(scope_id="load", segment="all", axis=Axis(kind="key", columns=("id",)), effect=Effect.LOAD)
WHOLE = Scope(scope_id="load", segment="all", axis=Axis(kind="whole"), effect=Effect.LOAD)


@dataclass
class Cluster:
    is_attached: bool = False


@pytest.mark.parametrize(
    ("scopes", "size", "is_here"),
    [
        ((KEYED,), 1000, True),
        ((KEYED,), 10_000, False),
        ((KEYED,), None, False),
        ((WHOLE,), None, True),
        ((WHOLE,), 10_000, True),
        ((WHOLE, WHOLE), None, False),
        ((), None, True),
    ],
)
def test_small_plans_and_single_slices_need_no_cluster(
    scopes: tuple[Scope, ...], size: int | None, is_here: bool
) -> None:
    settings = Settings(home="/nowhere", state_url="sqlite://", ray=RaySettings(inline_below=5000))
    outline = Outline(strategy="s", bytes=size, scopes=scopes)
    assert is_inline(settings, outline, Cluster()) is is_here
    assert not is_inline(settings, outline, Cluster(is_attached=True))
