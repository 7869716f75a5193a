"""The search attributes of workflows: which endpoint and unit, and how the run stands.

A workflow has all of them from its start, or none: a server that does not know an attribute refuses the start, and fails each task of a
workflow that sets it later. https://docs.temporal.io/search-attribute#custom-search-attribute
"""

import logging

from temporalio.api.enums.v1 import IndexedValueType
from temporalio.api.operatorservice.v1 import AddSearchAttributesRequest, ListSearchAttributesRequest
from temporalio.client import Client
from temporalio.common import SearchAttributeKey, SearchAttributePair, TypedSearchAttributes
from temporalio.service import RPCError, RPCStatusCode

from ingest_ray import logs
from ingest_ray.payloads.documents import ComparisonCommand, RunCommand

log = logging.getLogger(__name__)

ENDPOINT = SearchAttributeKey.for_keyword("IngestEndpoint")
UNIT = SearchAttributeKey.for_keyword("IngestUnit")
STATE = SearchAttributeKey.for_keyword("IngestState")
KEYS = (ENDPOINT, UNIT, STATE)
LONGEST = 255  # of a keyword, where the server keeps its list of workflows in a SQL database
KEYWORD = IndexedValueType.INDEXED_VALUE_TYPE_KEYWORD

_known: dict[tuple[str, str], bool] = {}


def attributes_of(command: RunCommand | ComparisonCommand) -> TypedSearchAttributes:
    """Of a run or a comparison that starts."""
    texts = ((ENDPOINT, command.endpoint_id), (UNIT, command.unit_id), (STATE, "RUNNING"))
    return TypedSearchAttributes([SearchAttributePair(key, text[:LONGEST]) for key, text in texts])


async def ensure_search_attributes(client: Client) -> bool:
    """Registers what the namespace lacks. False, with one warning in this process, where that is not permitted: runs go on without them."""
    key = (client.service_client.config.target_host, client.namespace)
    if key not in _known:
        fault = await _register_missing(client)
        if fault is not None:
            log.warning(
                "workflows cannot be searched by endpoint, unit and state, and run without these attributes: %s; with the permission: "
                "temporal operator search-attribute create --namespace %s %s",
                logs.scrub(fault),
                client.namespace,
                " ".join(f"--name {each.name} --type Keyword" for each in KEYS),
            )
        _known[key] = fault is None
    return _known[key]


def forget_search_attributes(client: Client) -> None:
    """They are not what they were when they were looked for; nobody looks again in this process."""
    _known[client.service_client.config.target_host, client.namespace] = False


async def _register_missing(client: Client) -> str | None:
    """What keeps the attributes from being used; None: nothing."""
    operator = client.operator_service
    try:
        found = await operator.list_search_attributes(ListSearchAttributesRequest(namespace=client.namespace))
        types = {**found.system_attributes, **found.custom_attributes}
        wrong = [key.name for key in KEYS if types.get(key.name, KEYWORD) != KEYWORD]
        if wrong:
            return f"{', '.join(wrong)} of the namespace have another type than Keyword"
        missing = {key.name: KEYWORD for key in KEYS if key.name not in types}
        if missing:
            await operator.add_search_attributes(
                AddSearchAttributesRequest(namespace=client.namespace, search_attributes=missing)
            )
    except RPCError as error:
        if error.status is RPCStatusCode.ALREADY_EXISTS:  # another process was first
            return None
        return f"the server answers {error.status.name}: {error.message}"
    return None
