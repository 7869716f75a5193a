"""One object of a Confluence dataset, with the facts about it that its body lacks."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from ingest_strategies.atlassian.readers import Acl
from ingest_strategies.confluence.api.contract import FetchedContent, Space


@dataclass(frozen=True)
class PageRef:
    """The page or post that a comment, attachment, label or version belongs to."""

    id: str
    type: str | None
    modified_at: datetime | None = None


@dataclass(frozen=True)
class Item:
    """`space`: None of what belongs to the whole site."""

    content: FetchedContent
    space: Space | None
    page: PageRef | None = None
    labels: Sequence[str] | None = None
    acl: Acl | None = None
    extra: Mapping[str, Any] = field(default_factory=dict)
    """Further columns."""
