"""Every path that the strategy calls is in Atlassian's OpenAPI files and not deprecated, and every value of their enums is handled.

Facts of the simulator that are not in those files name their source where they are.
"""

import re
from pathlib import Path
from typing import Any, Literal

import pytest

from ingest_ray.sdk.errors import IngestError
from ingest_ray.sdk.types import RunMode
from ingest_ray.simulators.atlassian import Simulation, simulate
from ingest_ray.testing.dry_run import Rehearsal
from ingest_strategies.confluence import http
from ingest_strategies.confluence.api.ancestors import CONTAINERS
from ingest_strategies.confluence.api.cloud import STATUSES
from ingest_strategies.confluence.api.contract import Space, UnknownPrincipal
from ingest_strategies.confluence.api.space_roles import reader_name
from ingest_strategies.confluence.operations import OPERATIONS
from ingest_strategies.confluence.tables import ACCESS, TABLES
from tests.atlassian.openapi import load
from tests.strategies.confluence.site import Lake, endpoint_of

pytestmark = pytest.mark.slow
APPS = ["ac:com.example.polls:poll"]
NOT_IN_THE_FILE = {
    "GET /_edge/tenant_info",  # https://developer.atlassian.com/cloud/jira/platform/rest/v3/intro/: how scoped tokens find the cloudId
    "GET /wiki/media/{}/{}",  # the media host of a redirect: not the site
    "GET /download/attachments/{}/{}",  # `_links.download` of Data Center's own answers
}
DEPRECATED: set[str] = set()


def documented(mode: str) -> dict[str, bool]:
    """`GET /path/{}` -> whether it is deprecated."""
    files = (
        {"confluence-cloud-v2": "/wiki/api/v2", "confluence-cloud-v1": ""}
        if mode == "cloud"
        else {"confluence-dc-10.0": ""}
    )
    return {
        f"{method.upper()} {prefix}{re.sub(r'{[^}]*}', '{}', path)}": bool(operation.get("deprecated"))
        for name, prefix in files.items()
        for path, methods in load(name)["paths"].items()
        for method, operation in methods.items()
        if isinstance(operation, dict)
    }


def run_everything(sim: Simulation, folder: Path) -> None:
    config: dict[str, Any] = {"acl_folders": "open", "custom_content_types": APPS, "objects_uri": str(folder / "files")}
    lake = Lake(folder, endpoint_of(sim, **config))
    lake.collect()
    for unit in lake.datasets:
        lake.unit = unit
        for mode in (RunMode.INCREMENTAL, RunMode.FULL) if TABLES[unit].cursor else (RunMode.FULL,):
            lake.mode = mode
            spec = lake.spec()
            Rehearsal(http, spec).run()
        if unit not in ACCESS and TABLES[unit].cursor:
            for keys in http.scan_keys(spec):  # type: ignore[attr-defined]
                list(http.proven_gone(spec, [keys.slice(0, 1)]))  # type: ignore[attr-defined]


@pytest.mark.parametrize("mode", ["cloud", "dc"])
def test_every_called_path_is_documented_and_not_deprecated(mode: Literal["cloud", "dc"], tmp_path: Path) -> None:
    with simulate(
        "confluence", mode, pages=60, spaces=2, traps=["space-roles"] if mode == "cloud" else [], frozen=True
    ) as sim:
        run_everything(sim, tmp_path)
        called = {re.sub(r"{[^}]*}", "{}", template) for template in sim.stats()["endpoints"]}
    known = documented(mode)
    called = {path for path in called if not path.startswith("GET /__sim") and not path.endswith("?")} - NOT_IN_THE_FILE
    # A list of children of one type is the path with the type in it.
    unknown = {path for path in called if path not in known}
    assert unknown == set()
    assert {path for path in called if known[path]} == DEPRECATED
    if mode == "cloud":
        in_table = {operation for operations in OPERATIONS.values() for operation in operations}
        probing = {"GET /wiki/rest/api/server-information"}
        assert called - in_table - probing == set(), (
            "every called operation is in the table that scopes and limits come from"
        )


def test_every_kind_of_principal_is_handled_or_refused_by_name() -> None:
    spec = load("confluence-cloud-v2")["components"]["schemas"]
    space = Space("1", "S", None, "global", "current", b"{}")  # type: ignore[arg-type]
    kinds = set(spec["PrincipalType"]["enum"]) | set(
        spec["SpacePermissionAssignment"]["properties"]["principal"]["properties"]["type"]["enum"]
    )
    named = {kind: reader_name(space, kind, "x1") for kind in kinds if kind != "role"}
    assert set(named.values()) == {"user:x1", "group:x1", "class:x1"}
    for kind in ("role", "SOMETHING_NEW", None):  # a role of a permission is resolved before it is named
        with pytest.raises(UnknownPrincipal, match=str(kind)):
            reader_name(space, kind, "x1")
    assert issubclass(UnknownPrincipal, IngestError)


def test_every_kind_of_parent_is_handled() -> None:
    kinds = load("confluence-cloud-v2")["components"]["schemas"]["ParentContentType"]["enum"]
    assert set(kinds) - {"page"} == set(CONTAINERS)
    assert {f"confluence.{kind}" for kind in CONTAINERS} <= set(TABLES)


def test_statuses_are_those_that_the_lists_take() -> None:
    paths = load("confluence-cloud-v2")["paths"]
    for kind, path in (("page", "/pages"), ("blogpost", "/blogposts")):
        schema = next(each for each in paths[path]["get"]["parameters"] if each["name"] == "status")["schema"]
        taken = set(schema["items"]["enum"])
        # `deleted` is content that was purged: it has no text and no readers.
        assert set(STATUSES[kind].split(",")) == taken - {"deleted"}
