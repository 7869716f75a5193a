"""The configuration of a Jira endpoint."""

import re
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from ingest_ray.sdk.types import Endpoint
from ingest_strategies.atlassian.config import SiteConfig, parse_site_config

_ORDERED = re.compile(r"\border\s+by\b", re.IGNORECASE)
_QUOTED = re.compile(r"\"(?:[^\"\\]|\\.)*\"|'(?:[^'\\]|\\.)*'")


class JiraConfig(SiteConfig):
    project_keys: tuple[str, ...] = ()
    """Empty: every project that the account may browse."""
    jql_filter: str | None = None
    """A condition that every issue must meet, besides the unit's own filters."""
    slice_issues: Annotated[int, Field(ge=1, le=10_000)] | None = None
    """The most issues of a slice. None: 1,000 where a request reads many of them, otherwise 500."""
    acl: Literal["none", "required"] = "none"
    """`required`: issues, comments, worklogs and attachments are stored only with their readers, in the same row."""
    objects_uri: str | None = None
    """Where the bytes of attachments are stored: a folder or any URI of pyarrow.fs. None: bytes are not read."""
    attachment_max_bytes: Annotated[int, Field(ge=1)] = 256 * 1024 * 1024
    number_type: Literal["decimal", "float64", "text"] = "decimal"
    """The type of number fields: decimal(38, 16), or floats where formulas give numbers that decimals cannot hold."""

    @model_validator(mode="after")
    def _check_jql_filter(self) -> Self:
        if self.jql_filter is not None:
            bare = _QUOTED.sub("", self.jql_filter)
            if not bare.strip() or _ORDERED.search(bare) or not is_closed(bare):
                raise ValueError("field 'jql_filter': a JQL condition without ORDER BY, brackets in pairs")
        return self


def is_closed(condition: str) -> bool:
    """True where brackets and quotes are balanced: otherwise the condition would escape the brackets around it."""
    depth = 0
    for sign in condition:
        depth += (sign == "(") - (sign == ")")
        if depth < 0:
            return False
    return depth == 0 and not any(mark in condition for mark in "\"'")


def parse_config(endpoint: Endpoint) -> JiraConfig:
    return parse_site_config(JiraConfig, endpoint)
