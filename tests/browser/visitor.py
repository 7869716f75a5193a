"""A user of the console, who finds elements by their accessible names."""

from pathlib import Path
from typing import Any


class Visitor:
    def __init__(self, page: Any, address: str, token: str, screenshots: Path, name: str) -> None:
        self.page = page
        self.address = address
        self.token = token
        self.faults: list[str] = []
        self._screenshots = screenshots
        self._name = name
        page.on("pageerror", lambda error: self.faults.append(str(error)))

    def log_in(self, token: str | None = None) -> None:
        self.page.goto(f"{self.address}/console/")
        self.page.get_by_label("Token").fill(token or self.token)
        self.page.get_by_role("button", name="Log in").click()

    def open(self, endpoint: str) -> None:
        self.page.goto(f"{self.address}/console/endpoint/{endpoint}")
        self.sees("heading", endpoint)

    def press(self, name: str) -> None:
        self.page.get_by_role("button", name=name, exact=True).click()

    def sees(self, role: str, name: str) -> Any:
        found = self.page.get_by_role(role, name=name)
        found.first.wait_for()
        return found.first

    def reads(self, text: str) -> None:
        self.page.get_by_text(text).first.wait_for()

    def buttons(self) -> list[str]:
        found = self.page.get_by_role("button").all()
        return [button.get_attribute("aria-label") or button.inner_text() for button in found]

    def shoot(self, what: str) -> None:
        self.page.screenshot(path=self._screenshots / f"{self._name}-{what}.png", full_page=True)
