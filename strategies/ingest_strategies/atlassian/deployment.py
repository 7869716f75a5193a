"""Which deployment a site is, Cloud or Data Center: metadata collection detects it and records it with each dataset."""

from typing import Any, Protocol

from ingest_ray.sdk.errors import SourceChanged
from ingest_ray.sdk.types import Dataset
from ingest_strategies.atlassian.site_client import SiteClient

CLOUD, SERVER = "Cloud", "Server"
"""As `serverInfo` names them; Data Center is `Server` there."""


class DeployedApi(Protocol):
    """The API of one product, of either deployment."""

    deployment: str

    @property
    def client(self) -> SiteClient[Any]: ...


def recorded_facts(dataset: Dataset, product: str, *more: str) -> list[str]:
    """The dataset's `deployment`, and more facts that opening its site takes.

    Raises:
        SourceChanged: the dataset lacks one: it must be collected again.
    """
    facts = [dataset.facts.get(name) for name in ("deployment", *more)]
    texts = [fact for fact in facts if isinstance(fact, str)]
    if facts[0] not in (CLOUD, SERVER) or len(texts) < len(facts):
        raise SourceChanged(
            f"dataset '{dataset.dataset_id}' does not say which {product} it is from", hint="collect again"
        )
    return texts
