"""Tables keep their columns, tasks their states, and text that looks like Markdown stays text."""

from typing import Any

import pytest

from ingest_strategies.rich_text import adf_to_markdown, storage_to_markdown, wiki_to_markdown


def macro(macro_name: str, inside: str = "", element: str = "structured-macro", **parameters: str) -> str:
    given = "".join(f'<ac:parameter ac:name="{key}">{value}</ac:parameter>' for key, value in parameters.items())
    return f'<ac:{element} ac:name="{macro_name}">{given}{inside}</ac:{element}>'


def task(body: str, state: str = "incomplete") -> str:
    return f"<ac:task><ac:task-id>4</ac:task-id><ac:task-status>{state}</ac:task-status><ac:task-body>{body}</ac:task-body></ac:task>"


def tasks(*items: str) -> str:
    return f"<ac:task-list>{''.join(items)}</ac:task-list>"


DECISION = (
    '<ac:adf-extension><ac:adf-node type="decision-list"><ac:adf-attribute key="local-id">d1</ac:adf-attribute>'
    '<ac:adf-node type="decision-item"><ac:adf-attribute key="state">DECIDED</ac:adf-attribute><ac:adf-content>We take it</ac:adf-content>'
    "</ac:adf-node></ac:adf-node><ac:adf-fallback><ul><li>We take it</li></ul></ac:adf-fallback></ac:adf-extension>"
)


@pytest.mark.parametrize(
    ("body", "markdown"),
    [
        (
            '<ac:image ac:alt="Chart"><ri:attachment ri:filename="c.png"/><ac:caption><p>Figure 1</p></ac:caption></ac:image>',
            "[file: c.png, Chart]\n\nFigure 1",
        ),
        ('<p>On <time datetime="2024-05-01"/></p>', "On 2024-05-01"),
        ('<p><ac:emoticon ac:name="tick"/> <ac:emoticon ac:name="x" ac:emoji-fallback="🔵"/></p>', "✅ 🔵"),
        ('<p><ac:emoticon ac:name="atlassian-new"/></p>', ":atlassian-new:"),
        (macro("include", **{"": '<ri:page ri:content-title="Release notes"/>'}), "[include: Release notes]"),
        (
            '<p><ac:link><ri:attachment ri:filename="a b.pdf"/><ac:link-body>the file</ac:link-body></ac:link></p>',
            "[the file](<a b.pdf>)",
        ),
        (
            f'<p>state{macro("status", title="DONE")}by<ac:link><ri:user ri:account-id="5b1"/></ac:link>now</p>',
            "state[DONE]by @5b1 now",
        ),
        ('<ol start="1">one<li>two</li>three</ol>', "1. one\n2. two\n3. three"),
        ('<ac:image><ri:url ri:value="https://h/i.png"/>shown</ac:image>', "![i.png](https://h/i.png)\n\nshown"),
        ("<table>a<tbody>b<tr>c<td>d</td></tr><p>e</p></tbody></table>", "|  |\n| --- |\n| d |\n\ne\n\na b c"),
        (f"<p>{macro('jira', 'stray', key='AB-1')}</p>", "[AB-1]\n\nstray"),
        ("<ac:link>bare</ac:link>", "bare"),
        (
            macro("view-file", name='<ri:attachment ri:filename="a.pdf"/>', height="250"),
            "[view-file: name [file: a.pdf]]",
        ),
        (macro("widget", url='<ri:url ri:value="https://host/v"/>'), "[widget: url https://host/v]"),
        (macro("jira", server="J", key="AB-1"), "[AB-1]"),
        (macro("toc", minLevel="2"), ""),
        (macro("note", "<ac:rich-text-body><p>old</p></ac:rich-text-body>", "macro", title="T"), "> **T**\n>\n> old"),
        (macro("html", "<ac:plain-text-body><![CDATA[<p>a <b>b</b></p>]]></ac:plain-text-body>"), "a **b**"),
        (
            tasks(task(f'see <a href="https://h/x">it</a> <code>c</code>{tasks(task("inner", "complete"))}')),
            "- [ ] see [it](https://h/x) `c`\n  - [x] inner",
        ),
        (DECISION, "- We take it"),
        (DECISION.replace("<li>We take it</li>", "<li>We</li>"), "We take it"),
        (DECISION.replace("<li>We take it</li>", "<li>We leave it</li>"), "We take it\n\n- We leave it"),
        (
            '<table><tr><th>A</th><th>B</th></tr><tr><td rowspan="2">1</td><td>2</td></tr><tr><td>3</td></tr><tr><td colspan="2">4</td></tr></table>',
            "| A | B |\n| --- | --- |\n| 1 | 2 |\n| 1 | 3 |\n| 4 | 4 |",
        ),
        (
            "<table><tr><th>Name</th><td>Bob</td></tr><tr><th>Age</th><td>3</td></tr></table>",
            "|  |  |\n| --- | --- |\n| **Name** | Bob |\n| **Age** | 3 |",
        ),
        (
            "<table><tr><th>A</th></tr><tr><td>x | y<pre>p|q\nr</pre><table><tr><td>1</td><td>2</td></tr></table><ul><li>z</li></ul></td></tr></table>",
            "| A |\n| --- |\n| x \\| y<br>`p\\|q`<br>`r`<br>1; 2<br>- z |",
        ),
        ("<p>Map&lt;String, Owner&gt; &amp;lt;</p>", "Map\\<String, Owner> \\&lt;"),
        (
            "<p>*a* __init__ a_b 2 * 3 `t` ~~n~~ a](b)</p>",
            "\\*a\\* \\_\\_init\\_\\_ a_b 2 * 3 \\`t\\` \\~\\~n\\~\\~ a\\](b)",
        ),
        ("<p># a</p><p>1. b</p><p>- c</p><p>&gt; d</p><p>+</p>", "\\# a\n\n1\\. b\n\n\\- c\n\n\\> d\n\n\\+"),
        ("<p>a<strong> b </strong>c<em>d.</em>e</p>", "a **b** cd.e"),
        ("<p><code>a`b</code></p>", "``a`b``"),
        (macro("code", "<ac:plain-text-body><![CDATA[a ```` b]]></ac:plain-text-body>"), "`````\na ```` b\n`````"),
        ("<p>see https://host/_a_b*c now</p>", "see <https://host/_a_b*c> now"),
        ('<p>Look!<a href="https://h/x">it</a></p>', "Look\\![it](https://h/x)"),
        (
            '<p><a href="https://h/x"><img src="https://h/i.png" alt="pic"/></a></p>',
            "![pic](https://h/i.png) <https://h/x>",
        ),
    ],
)
def test_storage_format_means_what_it_meant(body: str, markdown: str) -> None:
    assert storage_to_markdown(body) == markdown


@pytest.mark.parametrize(
    ("text", "markdown"),
    [
        ("||Name|Bob|\n||Age|3|", "|  |  |\n| --- | --- |\n| **Name** | Bob |\n| **Age** | 3 |"),
        ("||A||B||\n|1|x \\| y|", "| A | B |\n| --- | --- |\n| 1 | x \\| y |"),
        ("|a{code}x|y{code}|[t|https://h/]|", "|  |  |\n| --- | --- |\n| a<br>`x\\|y` | [t](https://h/) |"),
        ("|a\nb|c|", "|  |  |\n| --- | --- |\n| a<br>b | c |"),
        ("Stop !now and go! ok", "Stop !now and go! ok"),
        ("a{*}bold{*}b", "a**bold**b"),
        ("[~bob]said, said[~bob]", "@bob said, said @bob"),
        ("{html}<p>Hi <b>x</b></p>{html}", "Hi **x**"),
        ("Map<String, Owner>", "Map\\<String, Owner>"),
        ("{code}a ```` b{code}", "`````\na ```` b\n`````"),
        ("[!https://h/i.jpg!|https://h/x]", "![i.jpg](https://h/i.jpg) <https://h/x>"),
        ("# one\n#* two\n# three", "1. one\n   - two\n2. three"),
        ("{code:title=A.java}x", "A.javax"),
    ],
)
def test_wiki_markup_means_what_it_meant(text: str, markdown: str) -> None:
    assert wiki_to_markdown(text) == markdown


def paragraph(*nodes: Any) -> dict[str, Any]:
    return {"type": "paragraph", "content": list(nodes)}


def text(words: str) -> dict[str, Any]:
    return {"type": "text", "text": words}


@pytest.mark.parametrize(
    ("node", "markdown"),
    [
        (paragraph(text("a "), {"type": "newInline", "attrs": {"text": "b"}}, text(" c")), "a b c"),
        ({"type": "extension", "attrs": {"extensionKey": "k", "text": "said"}}, "said"),
        (
            {
                "type": "extension",
                "attrs": {"extensionKey": "toc", "parameters": {"macroParams": {"root": {"value": "Home"}}}},
            },
            "[toc: root Home]",
        ),
        ({"type": "bodiedExtension", "attrs": {"text": "Notes"}, "content": [paragraph(text("a"))]}, "Notes\n\na"),
        ({"type": "bodiedExtension", "attrs": {"text": "a"}, "content": [paragraph(text("a b"))]}, "a b"),
        (paragraph(text("by"), {"type": "mention", "attrs": {"text": "@Ann"}}, text("today")), "by @Ann today"),
        (
            {
                "type": "decisionItem",
                "content": [{"type": "extension", "attrs": {"text": each}} for each in ("a", "b")],
            },
            "a b",
        ),
        (paragraph({"type": "confluenceJiraIssue", "attrs": {"issueKey": "AB-1"}}), "AB-1"),
        (
            {
                "type": "taskList",
                "content": [
                    {"type": "taskItem", "attrs": {"state": "TODO"}, "content": [text("a")]},
                    {
                        "type": "taskList",
                        "content": [{"type": "taskItem", "attrs": {"state": "DONE"}, "content": [text("b")]}],
                    },
                ],
            },
            "- [ ] a\n  - [x] b",
        ),
        (
            {
                "type": "table",
                "content": [
                    {
                        "type": "tableRow",
                        "content": [{"type": "tableHeader", "content": [paragraph(text(name))]} for name in "AB"],
                    },
                    {
                        "type": "tableRow",
                        "content": [
                            {"type": "tableCell", "attrs": {"rowspan": 2}, "content": [paragraph(text("1"))]},
                            {"type": "tableCell", "content": [{"type": "codeBlock", "content": [text("x|y")]}]},
                        ],
                    },
                    {"type": "tableRow", "content": [{"type": "tableCell", "content": [paragraph(text("2"))]}]},
                ],
            },
            "| A | B |\n| --- | --- |\n| 1 | `x\\|y` |\n| 1 | 2 |",
        ),
    ],
)
def test_documents_mean_what_they_meant(node: dict[str, Any], markdown: str) -> None:
    assert adf_to_markdown({"type": "doc", "content": [node]}) == markdown


def nested_list(depth: int) -> dict[str, Any]:
    node = paragraph(text("innermost"))
    for level in range(depth):
        node = {
            "type": "bulletList",
            "content": [{"type": "listItem", "content": [paragraph(text(f"level{level}")), node]}],
        }
    return {"type": "doc", "content": [node]}


@pytest.mark.parametrize("depth", [31, 400])
def test_lists_of_any_depth_keep_their_words(depth: int) -> None:
    markdown = adf_to_markdown(nested_list(depth))
    assert {"innermost", *(f"level{level}" for level in range(depth))} <= set(markdown.replace("-", " ").split())
