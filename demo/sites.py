"""Loads a simulated Jira and a simulated Confluence into one common data model, and runs one query over both."""

import os
import sqlite3
import subprocess
from pathlib import Path

from rich.console import Console
from rich.markup import escape
from rich.syntax import Syntax
from rich.table import Table

from ingest_ray.simulators.atlassian import Simulation, simulate

CONFIG = """\
home: .ingest-ray
endpoints:
  - {{id: jira, template: jira.http, config: {{base_url: "{jira.url}", username: "{jira.user}", api_token: "env:JIRA_TOKEN"}}}}
  - {{id: wiki, template: http.confluence, config: {{base_url: "{wiki.url}", username: "{wiki.user}", api_token: "env:WIKI_TOKEN"}}}}
sinks:
  - {{id: models, template: cdm.jdbc, config: {{url: "sqlite:///models.db"}}}}
units:
  - {{endpoint: jira, unit: "*", mode: cdm, sink_endpoint: models, cdm: {{system: acme}}}}
  - {{endpoint: wiki, unit: "*", mode: cdm, sink_endpoint: models, cdm: {{system: acme}}}}
"""
UNITS = {
    "jira": ("jira.projects", "jira.users", "jira.issues", "jira.comments", "jira.worklogs"),
    "wiki": ("confluence.space", "confluence.page"),
}
MODELS = [f"cdm.work.{name}" for name in ("project", "user", "item", "comment", "worklog")]
MODELS += [f"cdm.doc.{name}" for name in ("space", "item", "revision", "link")]
QUERY = """\
SELECT u.display_name AS person,
       count(DISTINCT i.cdm_id) AS items, count(DISTINCT c.cdm_id) AS comments, count(DISTINCT p.cdm_id) AS pages,
       max(p.title) AS page
FROM cdm_work_user u
JOIN cdm_work_item i ON i.assignee_cdm_id = u.cdm_id
JOIN cdm_work_comment c ON c.item_cdm_id = i.cdm_id
JOIN cdm_doc_item p ON p.updated_by_cdm_id = u.cdm_id
GROUP BY u.cdm_id ORDER BY items DESC, person LIMIT 5"""


def into_one_model(folder: Path, command: str, console: Console) -> bool:
    """Returns whether the query returned rows, and every issue of the site is in the database."""
    folder.mkdir()
    with simulate("jira", issues=80, projects=2) as jira, simulate("confluence", pages=40, spaces=2) as wiki:
        enabled = [
            f"  - {{endpoint: {endpoint}, unit: {unit}, enabled: true}}\n"
            for endpoint, units in UNITS.items()
            for unit in units
        ]
        (folder / "ingest.yaml").write_text(CONFIG.format(jira=jira, wiki=wiki) + "".join(enabled))
        environment = os.environ | {"JIRA_TOKEN": jira.token, "WIKI_TOKEN": wiki.token}
        commands = [["apply"], ["collect", "jira"], ["collect", "wiki"], ["provision", "models", *MODELS]]
        for arguments in (*commands, ["run", "jira"], ["run", "wiki"]):
            console.print(f"[bold cyan]$ ingest-ray {' '.join(arguments)}")
            out = None if arguments[0] in ("provision", "run") else subprocess.DEVNULL
            subprocess.run([command, *arguments], cwd=folder, env=environment, check=True, stdout=out)
        return asked(folder / "models.db", jira, console)


def asked(database: Path, jira: Simulation, console: Console) -> bool:
    console.print("One query over both:")
    console.print(Syntax(QUERY, "sql", background_color="default"))
    connection = sqlite3.connect(database)
    found = connection.execute(QUERY)
    table = Table(*(column[0] for column in found.description))
    rows = found.fetchall()
    for row in rows:
        table.add_row(*(escape(str(value)) for value in row))
    console.print(table)
    ((items,),) = connection.execute("SELECT count(*) FROM cdm_work_item")
    connection.close()
    return bool(rows) and items == sum(1 for _ in jira.expected("issues"))
