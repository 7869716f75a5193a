"""The links of pages to issues: the Jira macro, an address of an issue, and a smart link, as the editor stores them.

https://confluence.atlassian.com/doc/confluence-storage-format-790796544.html (macros);
https://support.atlassian.com/confluence-cloud/docs/insert-links-and-anchors/ (smart links: `data-card-appearance`).
"""

from html import escape
from typing import Literal

Kind = Literal["macro", "address", "card", "board", "list"]
KINDS: tuple[Kind, ...] = ("macro", "address", "card", "board", "list")
_EVERY = 11  # one page in eleven


def issue_link(page_id: int) -> tuple[Kind, str] | None:
    """How a page links to an issue, and the issue's key."""
    number, rest = divmod(page_id, _EVERY)
    return (KINDS[number % len(KINDS)], f"SIM-{number % 400 + 1}") if rest == 3 else None


def issue_markup(kind: Kind, key: str, site: str) -> str:
    """A part of a page in the storage format."""
    match kind:
        case "macro":
            return _macro(f'<ac:parameter ac:name="key">{key}</ac:parameter>')
        case "list":
            query = escape(f"project = SIM AND key in ({key}, {key}0) ORDER BY created")
            return _macro(f'<ac:parameter ac:name="jqlQuery">{query}</ac:parameter>')
        case "card":
            url = escape(f"{site}/browse/{key}?atlOrigin=eyJpIjoiMSJ9")
            return f'<p><a href="{url}" data-card-appearance="inline">{url}</a></p>'
        case "board":
            url = escape(f"{site}/jira/software/projects/SIM/boards/1?assignee=x&selectedIssue={key}")
            return f'<p><a href="{url}">on the board</a></p>'
        case _:
            return f'<p>See <a href="{escape(site)}/browse/{key}">{key}</a></p>'


def _macro(parameters: str) -> str:
    head = (
        '<ac:structured-macro ac:name="jira" ac:schema-version="1" ac:macro-id="5d5a1cbd-0000-4000-8000-000000000001">'
    )
    server = '<ac:parameter ac:name="server">System Jira</ac:parameter><ac:parameter ac:name="serverId">1f4ff7a5-0000-3000-8000-000000000001</ac:parameter>'
    return f"{head}{server}{parameters}</ac:structured-macro>"
