"""Generates spaces and pages from a seed: trees with folders between, personal and archived spaces, restrictions, trash."""

from pathlib import Path

from ingest_ray.simulators.atlassian.confluence.page import LABELS, Container, Page, PageContent, Space
from ingest_ray.simulators.atlassian.confluence.page_store import PageStore
from ingest_ray.simulators.atlassian.content.clock import DAY_MS, HOUR_MS, MINUTE_MS, Clock
from ingest_ray.simulators.atlassian.content.people import Person, make_groups
from ingest_ray.simulators.atlassian.content.rich_text import Prose
from ingest_ray.simulators.atlassian.content.seeded_draws import SeededDraws, weighted
from ingest_ray.simulators.atlassian.content.wiki_loader import load_pages
from ingest_ray.simulators.atlassian.server.traps import Traps
from ingest_ray.simulators.atlassian.site_options import SiteOptions

FIRST_SPACE = 32_768
FIRST_PAGE = 200_001
_SPAN_MS = 4 * 365 * DAY_MS
_KINDS = ("folder", "folder", "folder", "whiteboard", "database", "embed")


def make_site(options: SiteOptions, clock: Clock, draws: SeededDraws, traps: Traps, people: list[Person]) -> PageStore:
    content = PageContent(draws, Prose(draws, people), people)
    spaces = make_spaces(draws, options.spaces, people, clock.now(), traps, is_cloud=options.mode == "cloud")
    groups = make_groups(draws, people)
    store = PageStore(clock, draws, traps, people, groups, content, options.site_zone, spaces, {}, {})
    _fill(store, options.pages, len(people), has_folders=options.mode == "cloud")
    if options.data is not None:
        _load_real_pages(store, options.data / "wiki-pages.jsonl.gz")
    _trap(store)
    store.load()
    return store


def personal_key(person: Person, index: int, *, is_cloud: bool) -> str:
    """Data Center takes the username, which may be an address of mail."""
    if is_cloud:
        return f"~{person.account_id.replace(':', '').replace('-', '')}{index}"
    name, _, host = person.email.partition("@")
    return f"~{name}.{index}@{host}"


def make_spaces(
    draws: SeededDraws, count: int, people: list[Person], now_ms: int, traps: Traps, *, is_cloud: bool
) -> list[Space]:
    """Of ten spaces, one is personal and one archived; the first never is."""
    spaces = []
    for index in range(count):
        d = draws(b"space", index)
        author = d[0] % len(people)
        personal = index % 10 == 7
        key = personal_key(people[author], index, is_cloud=is_cloud) if personal else f"SP{index:03}"
        name = (
            people[author].display
            if personal
            else f"Space {index} — {('Handbook', 'Runbooks', 'R&D', 'Überblick')[d[1] % 4]}"
        )
        space = Space(
            index, FIRST_SPACE + index, key, name, "personal" if personal else "global", author, now_ms - _SPAN_MS
        )
        space.archived = index % 10 == 4
        spaces.append(space)
    for space in spaces[1 : 1 + int(traps.number("forbidden-403"))]:
        space.forbidden = True
    failing = [s for s in spaces[1:] if not s.forbidden][: int(traps.number("failing-space"))]
    for space in failing:
        space.failing = True
    return spaces


def _fill(store: PageStore, count: int, people: int, *, has_folders: bool) -> None:
    draws, spaces = store.draws, store.spaces
    weights = [max(1, 1000 // (n + 4)) for n in range(len(spaces))] if len(spaces) < 50 else [1] * len(spaces)
    recent: list[list[int]] = [[] for _ in spaces]
    now = store.clock.now()
    for number in range(count):
        d = draws(b"page", number)
        # The first pages are the homepages; sizes of spaces are unequal, unless there are many.
        index = number if number < len(spaces) else weighted(weights, d[0])
        page = _page(draws, d, FIRST_PAGE + number * 2, index, people, now, home=not spaces[index].homepage)
        if not spaces[index].homepage:
            spaces[index].homepage = page.id
        elif page.kind == "page":
            page.parent = _parent(store, recent[index], d, page, spaces[index], has_folders=has_folders)
            page.position = d[9] % 5_000
        is_above = page.kind == "page" and page.status != "trashed"  # what is below a page that is trashed moves up
        if is_above and (d[10] % 4 == 0 or not recent[index]):
            recent[index].append(page.id)
        store.pages[page.id] = page


def _parent(
    store: PageStore, recent: list[int], d: tuple[int, ...], page: Page, space: Space, *, has_folders: bool
) -> int:
    """A recent page, or, on Cloud, now and then a container that hangs below one."""
    above = recent[-1 - d[11] % min(len(recent), 40)] if recent and d[12] % 6 else space.homepage
    if d[13] % 25 or not has_folders:
        return above
    kind = _KINDS[d[14] % len(_KINDS)]
    container = Container(
        page.id + 1, kind, f"{kind.title()} {page.id + 1}", space.index, above, page.author, page.created
    )
    store.containers[container.id] = container
    return container.id


def _page(
    draws: SeededDraws, d: tuple[int, ...], number: int, space: int, people: int, now_ms: int, *, home: bool
) -> Page:
    e = draws(b"page-more", number)
    created = now_ms - DAY_MS - _SPAN_MS * (d[1] % 100_000) // 100_000
    version = 1 if d[2] % 3 == 0 else 2 + d[3] % 12
    modified = created
    if version > 1:
        modified = created + (now_ms - HOUR_MS - created) * (d[4] % 100_000) // 100_000
    if e[0] % 30 == 0:  # imported or edited in bulk: many on one minute, some of them on one millisecond
        moment = now_ms - DAY_MS - draws(b"page-bulk", e[1] % 8)[0] % (300 * DAY_MS)
        moment = moment if e[0] % 60 else moment // MINUTE_MS * MINUTE_MS + e[2] % MINUTE_MS
        modified = max(moment, created)
    page = Page(
        number, space, "page", created, modified, d[5] % people, d[5] % people if version == 1 else d[6] % people, version,
        spread=modified,
    )  # fmt: skip
    page.message = f"edit {version}" if version > 1 and e[3] % 4 == 0 else ""
    page.labels = tuple(n for n in range(len(LABELS)) if e[4] >> (n * 3) & 7 == 7)
    page.comments = e[5] % 5 if e[6] % 4 == 0 else 0
    if e[6] % 300 == 1:
        page.comments = 30 + e[5] % 60
    page.attachments = 1 + e[7] % 3 if e[8] % 8 == 0 else 0
    if home:
        return page
    if e[9] % 14 == 0:
        page.kind = "blogpost"
    page.status = ("current", "archived", "trashed")[weighted((96, 2, 2), e[10])]
    if page.kind == "blogpost" and page.status == "archived":  # the API has no such status of posts
        page.status = "current"
    if e[11] % 40 == 0:
        page.restricted = ("u0", f"u{e[12] % people}", f"g{e[13] % 3}")
    return page


def _load_real_pages(store: PageStore, path: Path) -> None:
    """Replaces generated texts with real ones, repeated as often as needed."""
    loaded = load_pages(path)
    for number, page in enumerate(store.pages.values()):
        title, body = loaded[number % len(loaded)]
        page.title, page.loaded = f"{title} ({page.id})", body


def _trap(store: PageStore) -> None:
    draws, traps = store.draws, store.traps
    homes = {space.homepage for space in store.spaces}
    share = traps.number("permission-404") / 100
    broken = int(traps.number("attachment-errors"))
    for page in store.pages.values():
        if share and page.id not in homes and draws.chance(b"hidden", page.id, share):
            page.hidden, page.restricted = True, ("u1", "g3")
        if broken and page.attachments and draws(b"broken", page.id)[0] % broken == 0:
            page.attachment_fails = True
    current = [p for p in store.pages.values() if p.status == "current" and not p.hidden]
    for name in ("poison-500", "poison-json", "storage-500"):
        for number in range(min(int(traps.number(name)), len(current))):
            page = current[draws(name.encode(), number)[0] % len(current)]
            page.storage_fails, page.poison = (
                page.storage_fails or name == "storage-500",
                page.poison or name != "storage-500",
            )
