"""Jira Cloud: the account, the server, and what a request without a login gets."""

from ingest_ray.simulators.atlassian.content.clock import spell
from ingest_ray.simulators.atlassian.content.people import jira_cloud
from ingest_ray.simulators.atlassian.jira.cloud.attachments import CloudAttachments
from ingest_ray.simulators.atlassian.jira.cloud.bulk import CloudBulk
from ingest_ray.simulators.atlassian.jira.cloud.people import CloudPeople
from ingest_ray.simulators.atlassian.jira.cloud.projects import CloudProjects
from ingest_ray.simulators.atlassian.jira.cloud.search import CloudSearch
from ingest_ray.simulators.atlassian.jira.endpoints.site_endpoints import PROFILE_EXTRAS
from ingest_ray.simulators.atlassian.jira.rendering.parts import Json
from ingest_ray.simulators.atlassian.server.error_messages import NO_ISSUE, NO_LOGIN
from ingest_ray.simulators.atlassian.server.routing import Call, Reply, problem, reply, route


class JiraCloud(CloudSearch, CloudBulk, CloudProjects, CloudPeople, CloudAttachments):
    cloud = True

    def anonymous_reply(self, call: Call) -> Reply:
        """The answer for a request without login, on a site without public content: empty lists, no issues, no self."""
        where = call.template.partition(" ")[2]
        if where.endswith(("/search/jql", "/search")):
            return reply({"issues": [], "isLast": True})
        if where.endswith("/approximate-count"):
            return reply({"count": 0})
        if where.endswith("/bulkfetch"):
            return reply({"issues": [], "issueErrors": []} if "issue/" in where else {"issueChangeLogs": []})
        if where.endswith(("/project/search", "/user/bulk", "/field/search", "/comment/list")):
            return reply(self.page_bean(call, [], 50, 100))
        if where.endswith(
            ("/project", "/field", "/users/search", "/worklog/list", "/status", "/priority", "/issuetype")
        ):
            return reply([])
        if where.endswith("/serverInfo"):
            return self.server_info(call)
        if "/issue/" in where or "/project/" in where or "/attachment/" in where:
            return self.errors(404, NO_ISSUE)
        return self.unauthorized_reply()

    def unauthorized_reply(self) -> Reply:
        response = self.errors(401, NO_LOGIN)
        response.headers["WWW-Authenticate"] = f'OAuth realm="{self.site}"'
        return response

    def unknown_path_reply(self, call: Call) -> Reply:
        return problem(404, "Not Found", f"No endpoint {call.method} {call.path}.", call.path)

    # Account and server.

    @route("GET /rest/api/{api}/myself")
    def myself(self, call: Call) -> Reply:
        me = self.store.people[0]
        return reply(jira_cloud(me, self.site) | {"locale": me.locale} | PROFILE_EXTRAS)

    @route("GET /rest/api/{api}/serverInfo")
    def server_info(self, call: Call) -> Reply:
        zone = "America/New_York"
        now = spell(self.store.clock.now(), zone)
        document: Json = {"baseUrl": self.site, "version": "1001.0.0-SNAPSHOT", "versionNumbers": [1001, 0, 0]}
        document |= {
            "deploymentType": "Cloud",
            "buildNumber": 100_290,
            "buildDate": now,
            "serverTime": now,
            "scmInfo": "0" * 40,
        }
        return reply(document | {"serverTitle": "Jira", "defaultLocale": {"locale": "en_US"}, "serverTimeZone": zone})

    @route("GET /rest/api/{api}/auditing/record")
    def audit(self, call: Call) -> Reply:
        raise self.refuse(403, "Only Jira administrators may read the audit log.")
