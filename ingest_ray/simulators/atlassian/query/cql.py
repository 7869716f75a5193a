"""Compiles the documented subset of CQL into an index range and a predicate over hits.

Date-times have minute precision and are read in the site's zone, whatever the account's profile says
(https://jira.atlassian.com/browse/CONFCLOUD-70966). Trashed and archived content is never found.
https://developer.atlassian.com/cloud/confluence/advanced-searching-using-cql/
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from ingest_ray.simulators.atlassian.confluence.page import LABELS, Page
from ingest_ray.simulators.atlassian.confluence.page_store import PageStore
from ingest_ray.simulators.atlassian.content.rich_text import wiki
from ingest_ray.simulators.atlassian.query.dates import NonexistentLocalTime, function_ms, period_ms, wall_ms
from ingest_ray.simulators.atlassian.query.grammar import (
    CQL,
    Clause,
    Empty,
    Function,
    Operand,
    QueryError,
    Value,
    parse,
)
from ingest_ray.simulators.atlassian.query.predicates import FOREVER_MS, PredicateCompiler, has_words

KINDS = ("page", "blogpost", "comment", "attachment")
CONTAINERS = ("folder", "whiteboard", "database", "embed")
"""Of Cloud; found only where the query names the type."""


@dataclass(slots=True)
class Hit:
    """One searchable content; `page` is the page itself, or the page of a comment or attachment."""

    id: int
    kind: str
    page: Page
    created: int
    modified: int
    author: int
    title: str = ""


Predicate = Callable[[Hit], bool]


@dataclass(slots=True)
class CqlSearch:
    spaces: list[int]
    kinds: set[str] = field(default_factory=lambda: set(KINDS))
    lower: int = 0
    upper: int = FOREVER_MS
    created_lower: int = 0
    created_upper: int = FOREVER_MS
    ids: set[int] | None = None
    test: Predicate | None = None
    order: tuple[tuple[str, bool], ...] = ()
    relative: bool = False


class CqlCompiler(PredicateCompiler[Hit, CqlSearch]):
    def __init__(self, store: PageStore, *, is_cloud: bool) -> None:
        self.store = store
        self.is_cloud = is_cloud
        self.relative = False

    def compile(self, text: str, *, archived: bool = False) -> CqlSearch:
        self.relative = False
        query = parse(text, CQL)
        search = CqlSearch([s.index for s in self.store.spaces if archived or not s.archived])
        search.test = self.compile_where(search, query.where)
        for name, _ in query.order:
            if name.lower() not in ORDER_KEYS:
                raise QueryError(f"{CQL.start}Cannot order by field '{name}'")
        search.order = tuple((name.lower(), down) for name, down in query.order)
        search.relative = self.relative
        return search

    def _narrow(self, search: CqlSearch, clause: Clause) -> bool:
        name = clause.field.lower()
        if name in ("space", "space.key") and clause.operator in ("=", "in"):
            wanted = self._spaces(clause)
            search.spaces = [s for s in search.spaces if s in wanted]
            return True
        if name == "type" and clause.operator in ("=", "in"):
            wanted_kinds = self._kinds(clause)
            search.kinds = wanted_kinds & (search.kinds | set(CONTAINERS))
            return True
        if name in ("id", "content") and clause.operator in ("=", "in"):
            ids = self._ids(clause)
            search.ids = ids if search.ids is None else search.ids & ids
            return True
        if name in ("lastmodified", "created") and clause.operator in ("<", "<=", ">", ">="):
            prefix = "created_" if name == "created" else ""
            instant = self._instant(clause, clause.operands[0])
            if clause.operator in (">", ">="):
                lower = instant + (clause.operator == ">")
                setattr(search, prefix + "lower", max(getattr(search, prefix + "lower"), lower))
            else:
                upper = instant + (clause.operator == "<=")
                setattr(search, prefix + "upper", min(getattr(search, prefix + "upper"), upper))
            return True
        return False

    def _clause(self, clause: Clause) -> Predicate:
        makers: dict[str, Callable[[Clause], Predicate]] = {
            "space": lambda c: _choice(c, self._spaces(c), lambda h: h.page.space),
            "space.key": lambda c: _choice(c, self._spaces(c), lambda h: h.page.space),
            "space.type": self._space_type,
            "type": lambda c: _choice(c, self._kinds(c), lambda h: h.kind),
            "id": lambda c: _choice(c, self._ids(c), lambda h: h.id),
            "content": lambda c: _choice(c, self._ids(c), lambda h: h.id),
            "parent": lambda c: _choice(c, self._ids(c), lambda h: h.page.parent if h.kind == "page" else 0),
            "ancestor": self._ancestor,
            "container": lambda c: _choice(
                c, self._ids(c), lambda h: h.page.id if h.kind in ("comment", "attachment") else 0
            ),
            "creator": lambda c: _choice(c, self._people(c), lambda h: h.author),
            "contributor": self._contributor,
            "label": self._label,
            "title": lambda c: self._words(c, self._title),
            "text": lambda c: self._words(c, self._text),
            "sitesearch": lambda c: self._words(c, self._text),
            "lastmodified": lambda c: self._date(c, lambda h: h.modified),
            "created": lambda c: self._date(c, lambda h: h.created),
        }
        maker = makers.get(clause.field.lower())
        if maker is None:
            raise QueryError(
                f"{CQL.start}{clause.field} {clause.operator} — the field '{clause.field}' is not supported"
            )
        return maker(clause)

    def _fail(self, clause: Clause, value: str) -> QueryError:
        return QueryError(f"{CQL.start}the value '{value}' is not valid for the field '{clause.field}'")

    def _instant(self, clause: Clause, operand: Operand) -> int:
        if isinstance(operand, Function):
            self.relative = True
            instant = function_ms(operand.name, operand.arguments, self.store.clock.now(), self.store.site_zone)
            if instant is None:
                raise QueryError(f"{CQL.start}no function is called '{operand.name}'")
            return instant
        if isinstance(operand, Empty):
            raise self._fail(clause, "empty")
        try:
            instant = wall_ms(operand.text, self.store.site_zone)
        except NonexistentLocalTime:
            raise self._fail(clause, operand.text) from None
        if instant is not None:
            return instant
        shift = period_ms(operand.text)
        if shift is None:
            raise self._fail(clause, operand.text)
        self.relative = True
        return self.store.clock.now() + shift

    def _date(self, clause: Clause, get: Callable[[Hit], int]) -> Predicate:
        value = self._instant(clause, clause.operands[0])
        match clause.operator:
            case "<":
                return lambda h: get(h) < value
            case "<=":
                return lambda h: get(h) <= value
            case ">":
                return lambda h: get(h) > value
            case ">=":
                return lambda h: get(h) >= value
            case "=":  # a date without a time stands for its day
                return lambda h: value <= get(h) < value + 86_400_000
            case "!=":
                return lambda h: not value <= get(h) < value + 86_400_000
            case _:
                raise QueryError(f"{CQL.start}the operator '{clause.operator}' is not supported by '{clause.field}'")

    def _texts(self, clause: Clause) -> list[str]:
        texts = []
        for operand in clause.operands:
            if not isinstance(operand, Value):
                raise self._fail(clause, getattr(operand, "name", "empty"))
            texts.append(operand.text)
        return texts

    def _spaces(self, clause: Clause) -> set[int]:
        """Unknown keys match nothing and are no error."""
        texts = {t.lower() for t in self._texts(clause)}
        return {s.index for s in self.store.spaces if s.key.lower() in texts or str(s.id) in texts}

    def _kinds(self, clause: Clause) -> set[str]:
        texts = {t.lower() for t in self._texts(clause)}
        contents = {*KINDS, *(CONTAINERS if self.is_cloud else ())}
        unknown = texts - {*contents, "space", "user"}
        if unknown:
            raise self._fail(clause, min(unknown))
        return texts & contents

    def _ids(self, clause: Clause) -> set[int]:
        try:
            return {int(t.removeprefix("att")) for t in self._texts(clause)}
        except ValueError:
            raise self._fail(clause, ", ".join(self._texts(clause))) from None

    def _people(self, clause: Clause) -> set[int]:
        matches = set()
        for operand in clause.operands:
            if isinstance(operand, Function) and operand.name.lower() == "currentuser":
                matches.add(0)
            elif isinstance(operand, Value):
                known = (operand.text,)
                matches.update(
                    p.index for p in self.store.people if p.account_id in known or p.username in known or p.key in known
                )
            else:
                raise self._fail(clause, getattr(operand, "name", "empty"))
        return matches

    def _space_type(self, clause: Clause) -> Predicate:
        texts = set(self._texts(clause))
        return _choice(clause, texts, lambda h: self.store.spaces[h.page.space].kind)

    def _ancestor(self, clause: Clause) -> Predicate:
        ids = self._ids(clause)
        below = {d for i in ids for d in self.store.descendants(i)}
        return _choice(clause, below, lambda h: h.page.id)

    def _contributor(self, clause: Clause) -> Predicate:
        people = self._people(clause)
        return _choice(clause, {True}, lambda h: h.author in people or h.page.editor in people)

    def _label(self, clause: Clause) -> Predicate:
        wanted = {LABELS.index(t) for t in self._texts(clause) if t in LABELS}
        return _choice(clause, {True}, lambda h: not wanted.isdisjoint(h.page.labels))

    def _title(self, hit: Hit) -> str:
        return hit.title or self.store.content.title(hit.page)

    def _text(self, hit: Hit) -> str:
        return f"{self._title(hit)} {wiki(self.store.content.body(hit.page), cloud=True)}"

    def _words(self, clause: Clause, get: Callable[[Hit], str]) -> Predicate:
        texts = self._texts(clause)
        match clause.operator:
            case "=" | "in":
                return lambda h: get(h) in texts
            case "!=" | "not in":
                return lambda h: get(h) not in texts
            case "~":
                words = texts[0].lower().strip('"').split()
                return lambda h: has_words(get(h), words)
            case "!~":
                words = texts[0].lower().strip('"').split()
                return lambda h: not has_words(get(h), words)
            case _:
                raise QueryError(f"{CQL.start}the operator '{clause.operator}' is not supported by '{clause.field}'")


def _choice(clause: Clause, wanted: set[Any], get: Callable[[Hit], Any]) -> Predicate:
    match clause.operator:
        case "=" | "in":
            return lambda h: get(h) in wanted
        case "!=" | "not in":
            return lambda h: get(h) not in wanted
        case _:
            raise QueryError(f"{CQL.start}the operator '{clause.operator}' is not supported by '{clause.field}'")


ORDER_KEYS: dict[str, Callable[[PageStore, Hit], Any]] = {
    "id": lambda s, h: h.id,
    "created": lambda s, h: h.created,
    "lastmodified": lambda s, h: h.modified,
    "title": lambda s, h: h.title or s.content.title(h.page),
    "space": lambda s, h: s.spaces[h.page.space].key,
    "type": lambda s, h: h.kind,
    "creator": lambda s, h: h.author,
}
