"""The configuration of a Confluence endpoint."""

import re
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from ingest_ray.sdk.types import Endpoint
from ingest_ray.sdk.url_credentials import plain_uri
from ingest_strategies.atlassian.config import SiteConfig, parse_site_config


class ConfluenceConfig(SiteConfig):
    space_keys: tuple[str, ...] = ()
    """Empty: every space that the account may see, except archived and personal ones."""
    include_archived: bool = False
    """Archived spaces, too. Archived pages are always read, with `status` archived."""
    include_personal: bool = False
    body_format: Literal["storage", "view"] = "storage"
    custom_content_types: tuple[str, ...] = ()
    """Types of apps' content to read, such as `ac:com.example.polls:poll`: no API lists them. Empty: the unit is not offered."""
    jira_sites: Annotated[dict[str, str], Field(default_factory=dict)]
    """Links to issues of other sites: by address, or by the server name or server id of a Jira macro, the `system` of its items in CDM."""
    slice_pages: Annotated[int, Field(ge=1, le=2_000)] | None = None
    """The most pages, comments or attachments of a slice. None: 1,000 where a request reads many of them, otherwise 500."""
    sweep: bool = True
    """Compare the tree of each space with that of the last run: only this finds moved, trashed and archived pages."""
    acl: Literal["none", "required"] = "none"
    """`required`: content is stored only with its readers, in the same row."""
    acl_folders: Literal["quarantine", "open"] = "quarantine"
    """What is below a folder: in quarantine, or as if no folder were restricted."""
    objects_uri: Annotated[str, AfterValidator(plain_uri)] | None = None
    """Where the bytes of attachments are stored: a folder or any URI of pyarrow.fs. None: bytes are not read."""
    attachment_max_bytes: Annotated[int, Field(ge=1)] = 256 * 1024 * 1024

    @model_validator(mode="after")
    def _check_space_keys(self) -> Self:
        invalid = [key for key in self.space_keys if not re.fullmatch(r"[^\s\"/\\\x00-\x1f]{1,255}", key)]
        if invalid:
            raise ValueError(f"field 'space_keys': '{invalid[0]}' is no key of a space")
        return self


def parse_config(endpoint: Endpoint) -> ConfluenceConfig:
    return parse_site_config(ConfluenceConfig, endpoint)
