"""Attachments of Jira Cloud: their bytes come from a media host."""

import hashlib

from ingest_ray.simulators.atlassian.jira.endpoints.site_endpoints import JiraSite
from ingest_ray.simulators.atlassian.server.byte_ranges import ranged_reply
from ingest_ray.simulators.atlassian.server.routing import Call, Reply, reply, route


class CloudAttachments(JiraSite):
    @route("GET /rest/api/{api}/attachment/{id}")
    def attachment(self, call: Call) -> Reply:
        return reply(self.attachment_document(call) | {"id": int(call.params["id"])})

    @route("GET /rest/api/{api}/attachment/content/{id}")
    def attachment_content(self, call: Call) -> Reply:
        number = call.params["id"]
        body = self.attachment_body(call, number)
        if body is None:
            raise self.refuse(404, f"The attachment with id '{number}' does not exist")
        if not call.boolean("redirect", True):
            return ranged_reply(call, body[0], body[1])
        signed = hashlib.blake2b(number.encode(), digest_size=8).hexdigest()
        return Reply(303, b"", {"Location": f"{self.site}/media/{number}?signature={signed}"})

    @route("GET /media/{id}")
    def media(self, call: Call) -> Reply:
        """The signed URL of the media host; no other credentials are needed, or read."""
        number = call.params["id"]
        body = self.attachment_body(call, number)
        if body is None or call.parameter("signature") != hashlib.blake2b(number.encode(), digest_size=8).hexdigest():
            return Reply(403, b"", kind="text/plain")
        return ranged_reply(call, body[0], body[1])
