"""Users and groups of Jira Cloud."""

from ingest_ray.simulators.atlassian.content.people import jira_cloud
from ingest_ray.simulators.atlassian.jira.endpoints.site_endpoints import JiraSite
from ingest_ray.simulators.atlassian.server.routing import Call, Reply, reply, route


class CloudPeople(JiraSite):
    @route("GET /rest/api/{api}/users/search", "GET /rest/api/{api}/users")
    def users(self, call: Call) -> Reply:
        """A plain array, filtered after paging: pages lack the accounts of apps, and only an empty page is the end."""
        start, size = max(call.integer("startAt", 0), 0), min(max(call.integer("maxResults", 50), 1), 1000)
        part = self.store.people[start : start + size]
        while part and all(p.kind == "app" for p in part):
            start += size
            part = self.store.people[start : start + size]
        return reply([jira_cloud(p, self.site) for p in part if p.kind != "app"])

    @route("GET /rest/api/{api}/user")
    def user(self, call: Call) -> Reply:
        for person in self.store.people:
            if person.account_id == call.parameter("accountId"):
                wide = {
                    "groups": {"size": 1, "items": []},
                    "applicationRoles": {"size": 1, "items": []},
                    "locale": person.locale,
                }
                return reply(jira_cloud(person, self.site) | wide)
        raise self.refuse(404, "Specified user does not exist or you do not have required permissions")

    @route("GET /rest/api/{api}/user/search")
    def user_search(self, call: Call) -> Reply:
        """Active users, by a text of their names or by account id."""
        text, account_id = call.parameter("query").lower(), call.parameter("accountId")
        if not text and not account_id and not call.parameter("property"):
            raise self.refuse(400, "The query parameter 'query' was not provided.")
        found = [
            p for p in self.store.people
            if (p.account_id == account_id if account_id else p.active and text in f"{p.display} {p.email}".lower())
        ]  # fmt: skip
        start, size = max(call.integer("startAt", 0), 0), min(max(call.integer("maxResults", 50), 1), 1000)
        return reply([jira_cloud(p, self.site) for p in found[start : start + size]])

    @route("GET /rest/api/{api}/user/bulk")
    def user_bulk(self, call: Call) -> Reply:
        wanted = set(call.query.get("accountId", []))
        if not wanted:
            raise self.refuse(400, "The query parameter 'accountId' was not provided.")
        bean = self.page_bean(call, [p for p in self.store.people if p.account_id in wanted], 10, 200)
        return reply(bean | {"values": [jira_cloud(p, self.site) for p in bean["values"]]})

    @route("GET /rest/api/{api}/group/bulk")
    def groups(self, call: Call) -> Reply:
        bean = self.page_bean(call, self.store.groups, 50, 50)
        return reply(bean | {"values": [{"name": g.name, "groupId": g.group_id} for g in bean["values"]]})

    @route("GET /rest/api/{api}/group/member")
    def group_members(self, call: Call) -> Reply:
        for group in self.store.groups:
            if call.parameter("groupId") == group.group_id or call.parameter("groupname") == group.name:
                inactive = call.boolean("includeInactiveUsers")
                people = [self.store.people[n] for n in group.members]
                bean = self.page_bean(call, [p for p in people if inactive or p.active], 50, 50)
                return reply(bean | {"values": [jira_cloud(p, self.site) for p in bean["values"]]})
        raise self.refuse(404, "The group was not found.")
