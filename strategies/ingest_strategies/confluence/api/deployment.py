"""Opens the API of a Confluence site, of whichever deployment it is."""

from collections.abc import Iterator
from contextlib import contextmanager

from ingest_ray.http.errors import NotThere
from ingest_ray.sdk.types import Dataset, Endpoint
from ingest_strategies.atlassian.deployment import CLOUD, SERVER, recorded_facts
from ingest_strategies.confluence.api.client import ConfluenceClient, open_client
from ingest_strategies.confluence.api.cloud import CloudApi
from ingest_strategies.confluence.api.contract import Api
from ingest_strategies.confluence.api.data_center import DataCenterApi

CONTEXT = "/wiki"


def make_api(client: ConfluenceClient, deployment: str, root: str) -> Api:
    client.root = root
    client.http.has_one_budget = deployment != CLOUD
    return CloudApi(client) if deployment == CLOUD else DataCenterApi(client)


@contextmanager
def detect_api(endpoint: Endpoint) -> Iterator[Api]:
    """Asks the site. Only Cloud has v2, always below `/wiki`; a Data Center may be installed below that path, too."""
    with open_client(endpoint) as client:
        client.root = CONTEXT
        if not _has_context(client):
            yield make_api(client, SERVER, "")
        else:
            yield make_api(client, CLOUD if _has_v2(client) else SERVER, CONTEXT)


def _has_context(client: ConfluenceClient) -> bool:
    try:
        client.read_account()
    except NotThere:
        return False
    return True


def _has_v2(client: ConfluenceClient) -> bool:
    try:
        client.read_page("api/v2/spaces", {"limit": 1})
    except NotThere:
        return False
    return True


@contextmanager
def open_api(endpoint: Endpoint, dataset: Dataset) -> Iterator[Api]:
    """Takes deployment and context path from the dataset: no request is needed to open the site."""
    deployment, root = recorded_facts(dataset, "Confluence", "root")
    with open_client(endpoint) as client:
        yield make_api(client, deployment, root)
