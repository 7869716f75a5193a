"""Confluence's refusals, in the words and documents of Cloud or of Data Center."""

from ingest_ray.simulators.atlassian.confluence.page_store import PageStore
from ingest_ray.simulators.atlassian.server.error_messages import localized
from ingest_ray.simulators.atlassian.server.routing import Reply, RequestRefused, reply


class Refusals:
    cloud = True

    def __init__(self, store: PageStore) -> None:
        self.traps = store.traps

    def localized(self, text: str) -> str:
        return localized(text, german="localized" in self.traps)

    def refuse(self, status: int, text: str) -> RequestRefused:
        if self.cloud:
            return RequestRefused(reply({"statusCode": status, "message": self.localized(text)}, status))
        document = {
            "statusCode": status,
            "data": {"authorized": status != 403, "valid": True, "errors": [], "successful": False},
        }
        return RequestRefused(reply(document | {"message": self.localized(text)}, status))

    def content_not_found(self, number: str) -> RequestRefused:
        return self.refuse(
            404,
            f"com.atlassian.confluence.api.service.exceptions.NotFoundException: No content found with id: ContentId{{id={number}}}",
        )

    def gateway_timeout_error(self) -> RequestRefused:
        return RequestRefused(Reply(504, b"<html><body>504 Gateway Time-out</body></html>", kind="text/html"))

    def internal_error(self) -> RequestRefused:
        return self.refuse(500, "java.lang.NullPointerException")
