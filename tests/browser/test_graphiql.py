"""GraphiQL in a real Chromium: an admin asks the schema, nothing is loaded from elsewhere, and nobody else gets it."""

import pytest

from tests.browser.visitor import Visitor

pytestmark = pytest.mark.services


def test_an_admin_asks_the_schema_and_nothing_comes_from_elsewhere(admin: Visitor, viewer: Visitor) -> None:
    page, asked = admin.page, []
    page.on("request", lambda request: asked.append(request.url))
    admin.log_in()
    page.get_by_role("link", name="GraphQL").click()
    page.locator(".graphiql-container").wait_for()
    page.get_by_role("button", name="Execute query (Ctrl-Enter)").click()
    page.locator(".result-window").get_by_text('"admin-person"').wait_for()
    page.get_by_role("button", name="Show Documentation Explorer").click()
    page.locator(".graphiql-doc-explorer-type-name", has_text="Query").first.click()
    admin.reads("What can be read. Every field needs a token")
    admin.shoot("graphiql")
    assert [url for url in asked if not url.startswith((admin.address, "data:"))] == []
    viewer.log_in()
    viewer.sees("navigation", "Main")
    assert viewer.page.get_by_role("link", name="GraphQL").count() == 0
    assert viewer.page.request.get(f"{viewer.address}/graphiql").status == 403
