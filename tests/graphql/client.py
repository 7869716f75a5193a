"""A client of a server in this process: as an admin, as a viewer, or without credentials."""

from typing import Any

from starlette.testclient import TestClient

from ingest_ray.server.app import build_app
from ingest_ray.service.access.roles import Role
from ingest_ray.service.access.tokens import create_token
from ingest_ray.service.installation import Installation
from ingest_ray.settings import AlertSettings, RetentionSettings, ScheduleSettings


class Client:
    def __init__(self, installation: Installation, *, is_watching: bool = False, **settings: Any) -> None:
        settings = {"schedules": ScheduleSettings(enabled=False)} | settings  # the clock would be a second caller
        if not is_watching:  # so would alerts and retention be
            off = {"alerts": AlertSettings(enabled=False), "retention": RetentionSettings(enabled=False)}
            installation.settings = installation.settings.model_copy(update=off)
        serve = installation.settings.serve.model_copy(update=settings)
        installation.settings = installation.settings.model_copy(update={"serve": serve})
        self.installation = installation
        self.http = TestClient(build_app(installation, has_console=False), base_url="http://localhost:8400")
        self.tokens = {role: create_token(installation, f"{role}-person", role).token for role in Role}

    def post(self, query: str, variables: dict[str, Any] | None = None, role: Role | None = Role.ADMIN) -> Any:
        headers = {"Authorization": f"Bearer {self.tokens[role]}"} if role is not None else {}
        return self.http.post("/graphql", json={"query": query, "variables": variables or {}}, headers=headers)

    def ask(self, query: str, variables: dict[str, Any] | None = None, role: Role = Role.ADMIN) -> Any:
        """The data of an answer without errors."""
        answer = self.post(query, variables, role).json()
        assert "errors" not in answer, answer["errors"]
        return answer["data"]

    def refused(self, query: str, variables: dict[str, Any] | None = None, role: Role | None = Role.ADMIN) -> Any:
        """The first error: its code, and its message."""
        errors = self.post(query, variables, role).json()["errors"]
        return errors[0]["extensions"]["code"], errors[0]["message"]
