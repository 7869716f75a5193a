"""The client of a Confluence site: its login, its clock, and its lists."""

from typing import Any

from ingest_ray.http.client import Tries
from ingest_ray.http.rate_limit_headers import instant
from ingest_ray.sdk.errors import SourceDenied, SourceError
from ingest_ray.sdk.types import Endpoint
from ingest_strategies.atlassian.json_decoding import decoder
from ingest_strategies.atlassian.site_client import SiteClient, open_http_client
from ingest_strategies.confluence.api.responses import Page, Person
from ingest_strategies.confluence.config import ConfluenceConfig, parse_config

_page, _person = decoder(Page), decoder(Person)


class ConfluenceClient(SiteClient[ConfluenceConfig]):
    def read_account(self) -> Person:
        """Raises `SourceDenied` unless the login is good."""
        return self.read_account_and_clock()[0]

    def read_clock_ms(self) -> int:
        return self.read_account_and_clock()[1]

    def read_account_and_clock(self) -> tuple[Person, int]:
        """The account, and the server's clock in ms: the `Date` of the same answer.

        Raises:
            SourceDenied: the site treats the login as anonymous.
        """
        answer = self.http.answer(self.path("rest/api/user/current"))
        person, date = _person(answer.body), instant(answer.headers.get("date", ""))
        if person.id is None:
            raise SourceDenied(f"{self.http.site.base_url}: the current user names no account")
        if date is None:
            raise SourceError(f"{self.http.site.base_url}: its answers have no Date header")
        return person, int(date.timestamp() * 1000)

    def read_page(self, rest: str, params: dict[str, Any], tries: Tries | None = None) -> Page:
        return self.get(rest, _page, params, tries)

    def follow_link(self, link: str, tries: Tries | None = None) -> Page:
        """The page behind a `_links.next`, which is used word for word. v2's links begin with the context path, v1's do not."""
        has_root = not self.root or link.startswith(f"{self.root}/")
        return self.http.get(link if has_root else f"{self.root}{link}", _page, None, tries)


def open_client(endpoint: Endpoint) -> ConfluenceClient:
    config = parse_config(endpoint)
    return ConfluenceClient(open_http_client(config, "confluence", endpoint.secret_store), config, "")
