"""GraphiQL in a real Chromium: an admin asks the schema, nothing is loaded from elsewhere, and nobody else gets it."""

from typing import Any

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


def test_a_query_is_asked_on_a_phone(admin: Visitor) -> None:
    """The query and its answer are below each other, each as wide as the phone; the documentation is in their place while it is open."""
    page = admin.page
    page.set_viewport_size({"width": 390, "height": 844})
    admin.log_in()
    admin.sees("navigation", "Main")
    page.goto(f"{admin.address}/graphiql")
    page.get_by_role("button", name="Execute query (Ctrl-Enter)").click()
    page.locator(".result-window").get_by_text('"admin-person"').wait_for()
    admin.shoot("phone")
    query, answer = page.locator(".graphiql-query-editor"), page.locator(".result-window")
    assert_below([query, answer])
    page.get_by_role("button", name="Show Documentation Explorer").click()
    page.locator(".graphiql-doc-explorer-type-name", has_text="Query").first.wait_for()
    admin.shoot("phone with documentation")
    assert_below([page.locator(".graphiql-sidebar"), page.locator(".graphiql-plugin")], least=40)
    assert page.locator(".graphiql-plugin").bounding_box()["height"] > 600
    assert not query.is_visible()
    page.get_by_role("button", name="Hide Documentation Explorer").click()
    query.wait_for()
    page.get_by_role("button", name="Execute query (Ctrl-Enter)").click()
    assert_below([query, answer])


def assert_below(parts: list[Any], least: int = 100) -> None:
    boxes = [part.bounding_box() for part in parts]
    assert all(box["width"] > 340 and box["height"] > least for box in boxes), boxes
    tops, bottoms = [box["y"] for box in boxes], [box["y"] + box["height"] for box in boxes]
    assert all(bottom <= top for bottom, top in zip(bottoms[:-1], tops[1:], strict=True)), boxes
    assert bottoms[-1] <= 844, boxes
