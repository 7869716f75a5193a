"""Opens the API of a Jira site, of whichever deployment it is."""

from collections.abc import Iterator
from contextlib import contextmanager

from ingest_ray.sdk.types import Dataset, Endpoint
from ingest_strategies.atlassian.deployment import CLOUD, SERVER, recorded_facts
from ingest_strategies.jira.api.client import Api, JiraClient, open_client
from ingest_strategies.jira.api.cloud import CloudApi
from ingest_strategies.jira.api.data_center import DataCenterApi

ROOTS = {CLOUD: "/rest/api/3", SERVER: "/rest/api/2"}


def make_api(client: JiraClient, deployment: str) -> Api:
    client.root = ROOTS[deployment]
    client.http.has_one_budget = deployment != CLOUD
    return CloudApi(client) if deployment == CLOUD else DataCenterApi(client)


@contextmanager
def detect_api(endpoint: Endpoint) -> Iterator[Api]:
    """Asks the site for its deployment; both answer serverInfo of version 2."""
    with open_client(endpoint) as client:
        info = client.read_server_info()
        yield make_api(client, CLOUD if info.deploymentType == CLOUD else SERVER)


@contextmanager
def open_api(endpoint: Endpoint, dataset: Dataset) -> Iterator[Api]:
    """Takes the deployment from the dataset: no request is needed to open the site."""
    (deployment,) = recorded_facts(dataset, "Jira")
    with open_client(endpoint) as client:
        yield make_api(client, deployment)
