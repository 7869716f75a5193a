"""How a Confluence endpoint is configured."""

import re
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from ingest_ray.sdk.types import Endpoint
from ingest_strategies.atlassian.config import SiteConfig, parsed


class ConfluenceConfig(SiteConfig):
    space_keys: tuple[str, ...] = ()
    """None: every space that the account may see, less the archived and the personal ones."""
    include_archived: bool = False
    """Archived spaces, too. Archived pages are always read: their row says so."""
    include_personal: bool = False
    body_format: Literal["storage", "view"] = "storage"
    slice_pages: Annotated[int, Field(ge=1, le=2_000)] = 500
    """What a slice holds at most: pages, comments or attachments."""
    sweep: bool = True
    """Compare the tree of each space with what it was at the last run: moves, trash and archive leave no other trace."""
    acl: Literal["none", "required"] = "none"
    """`required`: no content is landed without the readers that it has, in the same row."""
    objects_uri: str | None = None
    """Where the bytes of attachments go: a folder or any URI of pyarrow.fs. None: bytes are not read."""
    attachment_max_bytes: Annotated[int, Field(ge=1)] = 256 * 1024 * 1024

    @model_validator(mode="after")
    def _fits(self) -> Self:
        wrong = [key for key in self.space_keys if not re.fullmatch(r"~?[A-Za-z0-9_.-]+", key)]
        if wrong:
            raise ValueError(f"field 'space_keys': '{wrong[0]}' is no key of a space")
        return self

    @property
    def site_url(self) -> str:
        """Without the context of Cloud, which paths bring along."""
        return self.base_url.rstrip("/").removesuffix("/wiki")


def parse_config(endpoint: Endpoint) -> ConfluenceConfig:
    return parsed(ConfluenceConfig, endpoint)
