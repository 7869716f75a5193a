"""What a statement in the log does to one table: the log has definitions, truncations and ends of transactions as text."""

import itertools
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from enum import Enum
from functools import lru_cache

_TOKEN = re.compile(
    r"(?P<code>/\*M?!\d*|\*/)|(?P<comment>/\*.*?\*/|--(?=\s|\Z)[^\n]*|\#[^\n]*)|(?P<quoted>`(?:[^`]|``)*`)"
    r"|(?P<string>[xX]?'(?:[^'\\]|\\.|'')*'|\"(?:[^\"\\]|\\.|\"\")*\")|(?P<word>[\w$\u0080-\U0010ffff]+)|(?P<sign>[^\s])",
    re.DOTALL,
)
_CHANGES_ROWS = frozenset({"INSERT", "UPDATE", "DELETE", "REPLACE", "LOAD", "WITH", "CALL", "DO", "SELECT", "MERGE", "IMPORT", "HANDLER"})  # fmt: skip
_DEFINES = frozenset({"TRUNCATE", "DROP", "CREATE", "RENAME", "ALTER"})


class Does(Enum):
    NOTHING = 0
    BEGIN = 1
    COMMIT = 2
    ROLLBACK = 3
    SAVEPOINT = 4
    ROLLBACK_TO = 5
    TRUNCATE = 6
    ALTER = 7
    REPLACE = 8
    """Another table has its name now, or lost rows of which the log has none."""
    WRITE = 9
    """Changed rows, of which the log has only the statement."""
    XA_COMMIT = 10
    XA_ROLLBACK = 11


@dataclass(frozen=True)
class Effect:
    does: Does
    name: str = ""
    """Of a savepoint, or of a transaction of XA."""
    begins: bool = False
    """The transaction goes on behind the statement, with rows."""


@dataclass(frozen=True)
class Token:
    kind: str
    text: str

    def is_word(self, *words: str) -> bool:
        return self.kind == "word" and self.text.upper() in words

    @property
    def is_name(self) -> bool:
        return self.kind in ("word", "quoted") or (self.kind == "string" and self.text.startswith('"'))

    @property
    def name(self) -> str:
        if self.kind == "word":
            return self.text
        quote = self.text[0]
        return self.text[1:-1].replace(quote * 2, quote)


@dataclass(frozen=True)
class TargetTable:
    """`folds`: the server does not distinguish case in names (`lower_case_table_names`). `find_aliases`: finds views of the table, and tables
    whose triggers name it, with their schemas."""

    schema: str
    table: str
    folds: bool = False
    find_aliases: Callable[[], frozenset[tuple[str, str]]] = frozenset

    def _same(self, one: str, other: str) -> bool:
        return one == other or (self.folds and one.casefold() == other.casefold())

    def is_table(self, schema: str, table: str) -> bool:
        return self._same(schema, self.schema) and self._same(table, self.table)

    def is_schema(self, schema: str) -> bool:
        return self._same(schema, self.schema)

    def is_named(self, tokens: Sequence[Token], schema: str) -> bool:
        """Whether a statement has a name of the table in it, as `t` or as `schema.t`."""
        known = [(self.schema, self.table), *self.find_aliases()]
        return any(
            self._same(name, table) and self._same(owner, of)
            for owner, name in names_in(tokens, schema)
            for of, table in known
        )


def names_in(tokens: Sequence[Token], schema: str) -> Iterator[tuple[str, str]]:
    """Every name with its schema: the name in front of a point, or the default."""
    for at, token in enumerate(tokens):
        if token.is_name and at > 1 and tokens[at - 1].text == "." and tokens[at - 2].is_name:
            yield tokens[at - 2].name, token.name
        elif token.is_name:
            yield schema, token.name


@lru_cache(maxsize=1)  # a statement is looked at for several questions, one after the other
def tokens_of(text: str) -> Sequence[Token]:
    """Without comments; what the server runs of a comment is in. In front of it may be `SET STATEMENT ... FOR`."""
    found = [
        Token(match.lastgroup, match[0])
        for match in _TOKEN.finditer(text)
        if match.lastgroup is not None and match.lastgroup not in ("comment", "code")
    ]
    if len(found) > 2 and found[0].is_word("SET") and found[1].is_word("STATEMENT"):
        at = next((index for index, token in enumerate(found) if token.is_word("FOR")), None)
        return found[at + 1 :] if at is not None else found
    return found


def effect_of(text: str, schema: str, target: TargetTable) -> Effect:
    """`schema`: the default database of the statement."""
    tokens = tokens_of(text)
    first = tokens[0].text.upper() if tokens else ""
    match first:
        case "BEGIN" | "START":
            return Effect(Does.BEGIN)
        case "COMMIT":
            return Effect(Does.COMMIT)
        case "ROLLBACK":
            return _rollback(tokens)
        case "SAVEPOINT":
            return Effect(Does.SAVEPOINT, tokens[1].name)
        case "XA":
            return _xa(tokens)
        case "TRUNCATE":
            return Effect(_if_target(Does.TRUNCATE, _names(tokens[1:], schema), target))
        case "DROP":
            return Effect(_drop(tokens, schema, target))
        case "CREATE":
            # MySQL from 8.0.21 on: https://dev.mysql.com/doc/refman/8.4/en/create-table-select.html
            begins = len(tokens) > 2 and tokens[-2].is_word("START") and tokens[-1].is_word("TRANSACTION")
            return Effect(_create(tokens, schema, target), begins=begins)
        case "RENAME":
            return Effect(_rename(tokens, schema, target))
        case "ALTER":
            return Effect(_alter(tokens, schema, target))
        case _ if first in _CHANGES_ROWS:
            return Effect(Does.WRITE if target.is_named(tokens, schema) else Does.NOTHING)
    return Effect(Does.NOTHING)


def concerns_tables(text: str) -> bool:
    """Whether a statement may do something to a table, whichever it is; ends of transactions do not count, but those of XA."""
    tokens = tokens_of(text)
    if len(tokens) > 1 and tokens[0].is_word("XA"):
        return tokens[1].is_word("COMMIT", "ROLLBACK")
    return bool(tokens) and tokens[0].text.upper() in _DEFINES | _CHANGES_ROWS


def _rollback(tokens: Sequence[Token]) -> Effect:
    at = next((index for index, token in enumerate(tokens) if token.is_word("TO")), None)
    if at is None:
        return Effect(Does.ROLLBACK)
    last = [token for token in tokens[at + 1 :] if token.is_name]
    return Effect(Does.ROLLBACK_TO, last[-1].name)


def _xa(tokens: Sequence[Token]) -> Effect:
    """`XA COMMIT X'6162',X'',1`. MySQL begins with `XA START`, and has no other event for it; MariaDB with its own event."""
    if len(tokens) > 1 and tokens[1].is_word("START", "BEGIN"):
        return Effect(Does.BEGIN)
    does = {"COMMIT": Does.XA_COMMIT, "ROLLBACK": Does.XA_ROLLBACK}.get(tokens[1].text.upper())
    if does is None:
        return Effect(Does.NOTHING)
    parts = [token.text[2:-1] if token.text[:1] in "xX" else token.text[1:-1].encode().hex()
             for token in tokens if token.kind == "string"]  # fmt: skip
    return Effect(does, "/".join(part.lower() for part in parts[:2]))


def _names(tokens: Sequence[Token], schema: str) -> Iterator[tuple[str, str]]:
    """The tables of a list: `a, b.c`."""
    words = [token for token in tokens if not token.is_word("TABLE", "TABLES", "IF", "EXISTS", "NOT")]
    at = 0
    while at < len(words) and words[at].is_name:
        if at + 2 < len(words) and words[at + 1].text == "." and words[at + 2].is_name:
            yield words[at].name, words[at + 2].name
            at += 3
        else:
            yield schema, words[at].name
            at += 1
        if at >= len(words) or words[at].text != ",":
            return
        at += 1


def _if_target(does: Does, names: Iterator[tuple[str, str]], target: TargetTable) -> Does:
    return does if any(target.is_table(*name) for name in names) else Does.NOTHING


def _drop(tokens: Sequence[Token], schema: str, target: TargetTable) -> Does:
    if len(tokens) > 2 and tokens[1].is_word("DATABASE", "SCHEMA"):
        return Does.TRUNCATE if target.is_schema(tokens[-1].name) else Does.NOTHING
    if len(tokens) < 2 or not tokens[1].is_word("TABLE", "TABLES"):
        return Does.NOTHING
    return _if_target(Does.TRUNCATE, _names(tokens[1:], schema), target)


def _create(tokens: Sequence[Token], schema: str, target: TargetTable) -> Does:
    """A table that is made has no row; with IF NOT EXISTS it may have been there before."""
    rest = list(tokens[1:])
    while rest and rest[0].is_word("OR", "REPLACE"):
        rest.pop(0)
    if not rest or not rest[0].is_word("TABLE"):
        return Does.NOTHING
    if len(rest) > 1 and rest[1].is_word("IF"):
        return Does.NOTHING
    return _if_target(Does.TRUNCATE, _names(rest, schema), target)


def _rename(tokens: Sequence[Token], schema: str, target: TargetTable) -> Does:
    """`RENAME TABLE a TO b, c TO d`."""
    words = [token for token in tokens[1:] if not token.is_word("TABLE", "TABLES", "IF", "EXISTS", "WAIT", "NOWAIT")]
    is_target_side, found = False, Does.NOTHING
    at = 0
    while at < len(words):
        token = words[at]
        if token.is_word("TO") or token.text == ",":
            is_target_side = token.is_word("TO")
            at += 1
            continue
        name = (schema, token.name)
        if at + 2 < len(words) and words[at + 1].text == ".":
            name = (token.name, words[at + 2].name)
            at += 2
        if token.is_name and target.is_table(*name):
            found = Does.REPLACE if is_target_side else Does.TRUNCATE if found is Does.NOTHING else found
        at += 1
    return found


def _alter(tokens: Sequence[Token], schema: str, target: TargetTable) -> Does:
    at = next((index for index, token in enumerate(tokens) if token.is_word("TABLE")), None)
    if at is None:
        return Does.NOTHING
    altered = next(_names(tokens[at:], schema), None)
    rest = tokens[at + 1 :]
    if altered is not None and target.is_table(*altered):
        return Does.REPLACE if _loses_rows(tokens) else Does.ALTER
    renames = any(token.is_word("RENAME", "EXCHANGE", "PARTITION") for token in rest)
    return Does.REPLACE if renames and target.is_named(rest, schema) else Does.NOTHING


def _loses_rows(tokens: Sequence[Token]) -> bool:
    """Whether an ALTER TABLE takes or brings rows that the log does not have, or takes the table's name away."""
    pairs = list(itertools.pairwise(tokens))
    if any(one.is_word("DROP", "TRUNCATE", "EXCHANGE", "CONVERT") and two.is_word("PARTITION") for one, two in pairs):
        return True
    if any(one.is_word("DISCARD", "IMPORT") and two.is_word("TABLESPACE", "PARTITION") for one, two in pairs):
        return True
    if any(one.is_word("ALTER") and two.is_word("IGNORE") for one, two in pairs):
        return True
    return any(one.is_word("RENAME") and not two.is_word("COLUMN", "INDEX", "KEY", "CONSTRAINT") for one, two in pairs)
