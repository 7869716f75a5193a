"""Which deployment a site is: told by itself, and remembered with the datasets."""

from collections.abc import Iterator
from contextlib import contextmanager

from ingest_ray.sdk.errors import SourceChanged
from ingest_ray.sdk.types import Dataset, Endpoint
from ingest_strategies.jira.api.client import Api, Web, open_web
from ingest_strategies.jira.api.cloud import Cloud
from ingest_strategies.jira.api.data_center import Server

CLOUD = "Cloud"
ROOTS = {CLOUD: "/rest/api/3", "Server": "/rest/api/2"}


def api_of(web: Web, deployment: str) -> Api:
    web.root = ROOTS[deployment]
    return Cloud(web) if deployment == CLOUD else Server(web)


@contextmanager
def asked(endpoint: Endpoint) -> Iterator[Api]:
    """Asks the site what it is; both answer serverInfo of version 2."""
    with open_web(endpoint) as web:
        info = web.server()
        yield api_of(web, CLOUD if info.deploymentType == CLOUD else "Server")


@contextmanager
def known(endpoint: Endpoint, dataset: Dataset) -> Iterator[Api]:
    """The site as it was when its metadata was collected: no request is needed to open it."""
    deployment = str(dataset.facts.get("deployment"))
    if deployment not in ROOTS:
        raise SourceChanged(f"dataset '{dataset.dataset_id}' does not say what Jira it is from", hint="collect again")
    with open_web(endpoint) as web:
        yield api_of(web, deployment)
