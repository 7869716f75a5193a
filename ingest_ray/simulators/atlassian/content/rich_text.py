"""Rich text in one neutral form, converted to ADF (Jira v3), wiki markup (Jira v2) and storage format (Confluence).

A text is a tuple of blocks. A block is `(kind, ...)`:
`("p", text)`, `("h", text)`, `("list", texts)`, `("code", text)`, `("mention", person, text)`, `("link", url, text)`,
`("page", title)`, `("image", file name)`. `("wiki", markup)` is real markup that was loaded, and is served unchanged.
"""

import random
from functools import lru_cache
from html import escape
from typing import Any

import msgspec

from ingest_ray.simulators.atlassian.content.people import Person
from ingest_ray.simulators.atlassian.content.seeded_draws import SeededDraws, pick

Block = tuple[Any, ...]
Text = tuple[Block, ...]

_NOUNS = [
    "ledger",
    "valve",
    "gateway",
    "parser",
    "cursor",
    "replica",
    "meadow",
    "compass",
    "harvest",
    "anchor",
    "lantern",
    "orchard",
    "bridge",
    "signal",
    "archive",
    "beacon",
    "canal",
    "dial",
    "engine",
    "ferry",
    "garden",
    "harbour",
    "index",
    "journal",
    "kiln",
    "ladder",
    "mill",
    "needle",
    "oven",
    "pulley",
    "quarry",
    "rail",
    "sensor",
    "turbine",
    "umbrella",
    "vault",
    "winch",
    "yard",
    "zipper",
    "branch",
    "cluster",
    "daemon",
    "editor",
    "folder",
    "graph",
    "header",
    "invoice",
    "journal",
]
_VERBS = [
    "opens",
    "loses",
    "repeats",
    "checks",
    "moves",
    "drops",
    "keeps",
    "rotates",
    "copies",
    "merges",
    "delays",
    "blocks",
    "retries",
    "skips",
    "returns",
    "renames",
    "truncates",
    "restores",
    "validates",
    "compresses",
]
_TAILS = (
    "after the second restart",
    "when the queue is full",
    "on every third request",
    "without a message in the log",
    "if the user has no e-mail address",
    "under load of 40 % and more",
    "since release 7.4",
    "in the night shift",
    "für Kunden in Zürich und Köln",
    "、日本語の環境でも同じです",
    '— see "Field notes" & <appendix>',
    "with café, naïve and 🚀 in the title",
    "although a < b && c > d holds",
    "as {curly} and [square] brackets are in the name",
    "while 'single' and \"double\" quotes are mixed",
    "",
)  # accents, other scripts, emoji, and what XML, JSON and wiki markup must escape
_SENTENCES = 4_096


@lru_cache(8)  # each site of a seed draws the same 4,096
def sentences(seed: int) -> tuple[str, ...]:
    """The pool that every text of one seed is made of."""
    chance = random.Random(seed)
    results = []
    for _ in range(_SENTENCES):
        first, verb, second, tail = (chance.choice(c) for c in (_NOUNS, _VERBS, _NOUNS, _TAILS))
        results.append(f"The {first} {verb} the {second} {tail}".rstrip() + f" ({chance.randrange(10_000)}).")
    return tuple(results)


class Prose:
    """Generates texts that depend only on the seed, a purpose and an id."""

    def __init__(self, draws: SeededDraws, people: list[Person]) -> None:
        self.draws = draws
        self.people = people
        self.pool = sentences(draws.seed)

    def line(self, what: bytes, number: int, part: int = 0) -> str:
        return self.pool[self.draws(what, number, part)[15] % _SENTENCES]

    def title(self, what: bytes, number: int) -> str:
        d = self.draws(what, number)
        return (
            f"{pick(_NOUNS, d[0]).capitalize()} {pick(_VERBS, d[1])} {pick(_NOUNS, d[2])} {pick(_TAILS, d[3])}".rstrip()
        )

    def text(self, what: bytes, number: int, part: int = 0, most: int = 6) -> Text:
        """One to `most` blocks; about one text in ten has a code block, a list, a mention or a link each."""
        d = self.draws(what, number, part)
        pool = self.pool
        blocks: list[Block] = [("p", pool[x % _SENTENCES]) for x in d[1 : 2 + d[0] % most]]
        shape = d[15] % 20
        if shape < 2:
            blocks.append(("code", f'for x in range({d[14] % 99}):\n\tprint(x < 3 && "{d[13] % 7}")'))
        elif shape < 4:
            blocks.append(("list", (pool[d[12] % _SENTENCES], pool[d[11] % _SENTENCES])))
        elif shape < 6:
            blocks.append(("mention", self.people[d[10] % len(self.people)], pool[d[9] % _SENTENCES]))
        elif shape < 8:
            blocks.append(("link", f"https://example.com/notes/{d[8] % 500}?a=1&b=2", "the notes"))
        elif shape < 9:
            blocks.insert(0, ("h", pool[d[7] % _SENTENCES]))
        return tuple(blocks)


def _paragraph(*content: dict[str, Any]) -> dict[str, Any]:
    return {"type": "paragraph", "content": list(content)}


@lru_cache(maxsize=2 * _SENTENCES)
def _plain_paragraph(text: str) -> msgspec.Raw:
    """Cached, because most blocks are sentences of the pool."""
    return msgspec.Raw(msgspec.json.encode(_paragraph(_run(text))))


def _run(text: str) -> dict[str, Any]:
    return {"type": "text", "text": text}


def _adf_block(block: Block) -> dict[str, Any] | msgspec.Raw:
    if block[0] == "p":
        return _plain_paragraph(block[1])
    match block:
        case ("h", text):
            return {"type": "heading", "attrs": {"level": 2}, "content": [_run(text)]}
        case ("list", texts):
            items = [{"type": "listItem", "content": [_paragraph(_run(text))]} for text in texts]
            return {"type": "bulletList", "content": items}
        case ("code", text):
            return {"type": "codeBlock", "attrs": {"language": "python"}, "content": [_run(text)]}
        case ("mention", person, text):
            name = {"id": person.account_id, "text": f"@{person.display}", "accessLevel": ""}
            return _paragraph({"type": "mention", "attrs": name}, _run(" " + text))
        case ("link", url, text):
            return _paragraph({"type": "text", "text": text, "marks": [{"type": "link", "attrs": {"href": url}}]})
        case ("page" | "image" | "storage", text):
            return _paragraph(_run(text))
        case ("wiki", markup):
            return _paragraph(_run(markup))
        case _:
            raise ValueError(f"unknown block: {block[0]}")


def adf(text: Text) -> dict[str, Any]:
    """Atlassian Document Format. ADF has no empty text nodes: empty lines become empty paragraphs."""
    if len(text) == 1 and text[0][0] == "wiki":
        lines = text[0][1].replace("\r\n", "\n").split("\n")
        return {"type": "doc", "version": 1, "content": [_paragraph(*([_run(x)] if x else [])) for x in lines]}
    return {"type": "doc", "version": 1, "content": [_adf_block(block) for block in text]}


def wiki(text: Text, *, cloud: bool) -> str:
    """Jira's wiki markup; persons are named by account id on Cloud and by user name on Data Center."""
    parts = []
    for block in text:
        match block:
            case ("p" | "wiki", content):
                parts.append(content)
            case ("h", content):
                parts.append(f"h2. {content}")
            case ("list", texts):
                parts.append("\r\n".join(f" * {content}" for content in texts))
            case ("code", content):
                parts.append("{code:python}\r\n" + content + "\r\n{code}")
            case ("mention", person, content):
                parts.append(
                    (f"[~accountid:{person.account_id}]" if cloud else f"[~{person.username}]") + " " + content
                )
            case ("link", url, content):
                parts.append(f"[{content}|{url}]")
            case (_, content):
                parts.append(content)
    return "\r\n\r\n".join(parts)


def storage(text: Text, *, cloud: bool) -> str:
    """Confluence's storage format: XHTML with `ac:` and `ri:` elements."""
    parts = []
    for block in text:
        match block:
            case ("p", content):
                parts.append(f"<p>{escape(content, quote=False)}</p>")
            case ("h", content):
                parts.append(f"<h2>{escape(content, quote=False)}</h2>")
            case ("list", texts):
                items = "".join(f"<li><p>{escape(content, quote=False)}</p></li>" for content in texts)
                parts.append(f"<ul>{items}</ul>")
            case ("code", content):
                parts.append(
                    '<ac:structured-macro ac:name="code" ac:schema-version="1"><ac:plain-text-body><![CDATA['
                    f"{content}]]></ac:plain-text-body></ac:structured-macro>"
                )
            case ("mention", person, content):
                key = f'ri:account-id="{person.account_id}"' if cloud else f'ri:userkey="{person.key}"'
                parts.append(f"<p><ac:link><ri:user {key} /></ac:link> {escape(content, quote=False)}</p>")
            case ("link", url, content):
                parts.append(f'<p><a href="{escape(url)}">{escape(content, quote=False)}</a></p>')
            case ("page", content):
                parts.append(f'<p><ac:link><ri:page ri:content-title="{escape(content)}" /></ac:link></p>')
            case ("image", content):
                parts.append(f'<ac:image><ri:attachment ri:filename="{escape(content)}" /></ac:image>')
            case ("storage", content):
                parts.append(content)
    return "".join(parts)


def view(text: Text) -> str:
    """The HTML for a browser: the storage format with its macros rendered."""
    parts = []
    for block in text:
        match block:
            case ("code", content):
                parts.append(f'<pre class="syntaxhighlighter-pre">{escape(content, quote=False)}</pre>')
            case ("mention", person, content):
                parts.append(
                    f'<p><a class="confluence-userlink">{person.display}</a> {escape(content, quote=False)}</p>'
                )
            case ("page", content):
                parts.append(f'<p><a href="#">{escape(content, quote=False)}</a></p>')
            case ("image", content):
                parts.append(f'<img class="confluence-embedded-image" alt="{escape(content)}"/>')
            case _:
                parts.append(storage((block,), cloud=True))
    return "".join(parts)
