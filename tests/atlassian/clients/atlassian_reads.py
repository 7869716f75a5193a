"""Calls every read method of `atlassian-python-api` whose arguments are known. Arguments: product, URL, user, token, mode, a JSON object of
arguments by name. Prints one JSON line: how many methods were called, and of each that failed what the site refused, or the error."""

import inspect
import json
import re
import sys
from typing import Any

import atlassian
import requests

product, site, user, token, mode, arguments = sys.argv[1:]
known: dict[str, Any] = json.loads(arguments)
READS = re.compile(r"^(get_|search|cql|jql|history|has_|page_exists|check_|project|field|enhanced|boards|approximate)")
WRITES = re.compile(
    r"(^_|add_|create|delete|update|set_|remove|move|assign_|archive|transition_|edit_|upload|restore|purge|append|copy|rename"
    r"|_add|_del|_create|_update|_edit|release|permission_check|pin_)"
)
OTHERS = re.compile(  # other products, apps, people's browsers, administration of the server
    r"get_app|get_pdf|draft|export|get_page_as|get_data$|get_link|get_endpoint|index|mobile|license|plugin|tempo|insight|webhook|health"
    r"|cluster|json_rpc|assets|plan|atlassian_team|graphql|support_zip|jira_metadata|url"
)
refused: list[str] = []
send = requests.Session.request


def watched(self: requests.Session, method: str, url: str, **more: Any) -> requests.Response:
    answer = send(self, method, url, **more)
    if answer.status_code >= 400:
        refused.append(f"{method} {url.partition('?')[0].removeprefix(site)} {answer.status_code}")
    return answer


requests.Session.request = watched  # type: ignore[method-assign]
cloud = mode == "cloud"
login = {"username": user, "password": token} if cloud else {"token": token}
client: Any
if product == "jira":
    client = atlassian.Jira(url=site, cloud=cloud, **login)
elif cloud:
    client = atlassian.ConfluenceV2(url=f"{site}/wiki", **login)
else:
    client = atlassian.Confluence(url=site, cloud=False, **login)


def arguments_of(method: Any) -> dict[str, Any] | None:
    """None where one is not known."""
    needed = [
        parameter.name
        for parameter in inspect.signature(method).parameters.values()
        if parameter.default is inspect.Parameter.empty
        and parameter.kind not in (parameter.VAR_KEYWORD, parameter.VAR_POSITIONAL)
    ]
    return {name: known[name] for name in needed} if set(needed) <= known.keys() else None


called, failed = 0, {}
for name, method in inspect.getmembers(client, inspect.ismethod):
    if not READS.search(name) or WRITES.search(name) or OTHERS.search(name):
        continue
    given = arguments_of(method)
    if given is None:
        continue
    refused.clear()
    called += 1
    try:
        value = method(**given)
        if inspect.isgenerator(value):
            list(value)
    except Exception as error:
        failed[name] = "; ".join(sorted(set(refused))) or f"{type(error).__name__}: {error}"[:100]
    else:
        if refused:
            failed[name] = "; ".join(sorted(set(refused)))
print(json.dumps({"called": called, "failed": failed}))
