"""Which deployment a site is: found by asking, and remembered with the datasets."""

from collections.abc import Iterator
from contextlib import contextmanager

from ingest_ray.http.errors import NotThere
from ingest_ray.sdk.errors import SourceChanged
from ingest_ray.sdk.types import Dataset, Endpoint
from ingest_strategies.confluence.api.client import Api, Web, open_web
from ingest_strategies.confluence.api.cloud import Cloud
from ingest_strategies.confluence.api.data_center import Server

CLOUD, SERVER = "Cloud", "Server"
CONTEXT = "/wiki"


def api_of(web: Web, deployment: str, root: str) -> Api:
    web.root = root
    return Cloud(web) if deployment == CLOUD else Server(web)


def detected(web: Web) -> Api:
    """Only Cloud has v2, and its context is always `/wiki`; a server may have been installed under that name, too."""
    web.root = CONTEXT
    try:
        web.myself()
    except NotThere:
        return api_of(web, SERVER, "")
    try:
        web.page("api/v2/spaces", {"limit": 1})
    except NotThere:
        return api_of(web, SERVER, CONTEXT)
    return api_of(web, CLOUD, CONTEXT)


@contextmanager
def asked(endpoint: Endpoint) -> Iterator[Api]:
    with open_web(endpoint) as web:
        yield detected(web)


@contextmanager
def known(endpoint: Endpoint, dataset: Dataset) -> Iterator[Api]:
    """The site as it was when its metadata was collected: no request is needed to open it."""
    deployment, root = dataset.facts.get("deployment"), dataset.facts.get("root")
    if deployment not in (CLOUD, SERVER) or not isinstance(root, str):
        raise SourceChanged(
            f"dataset '{dataset.dataset_id}' does not say what Confluence it is from", hint="collect again"
        )
    with open_web(endpoint) as web:
        yield api_of(web, str(deployment), root)
