"""Parses the common grammar of JQL and CQL: clauses, AND / OR / NOT, lists, functions, ORDER BY.

query   := [ or ] [ "ORDER" "BY" field ["ASC"|"DESC"] { "," ... } ]
or      := and { ("OR" | "||") and }
and     := not { ("AND" | "&&") not }
not     := ("NOT" | "!") not | "(" or ")" | clause
clause  := field operator operand
operand := value | function | "(" operand { "," operand } ")" | "EMPTY" | "NULL"
"""

import re
from dataclasses import dataclass
from typing import NoReturn


class QueryError(Exception):
    """A query that is answered with 400; the message has the product's wording."""


@dataclass(frozen=True, slots=True)
class Token:
    kind: str  # word, string, operator, punctuation, end
    text: str
    at: int


@dataclass(frozen=True, slots=True)
class Value:
    text: str
    quoted: bool


@dataclass(frozen=True, slots=True)
class Function:
    name: str
    arguments: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Empty:
    pass


Operand = Value | Function | Empty


@dataclass(frozen=True, slots=True)
class Clause:
    field: str
    operator: str  # =, !=, <, <=, >, >=, ~, !~, in, not in, is, is not
    operands: tuple[Operand, ...]


@dataclass(frozen=True, slots=True)
class Condition:
    """A predicate of WAS or CHANGED, such as BEFORE."""

    word: str
    operands: tuple[Operand, ...]


@dataclass(frozen=True, slots=True)
class History:
    """`operator`: was, was not, was in, was not in, changed."""

    field: str
    operator: str
    operands: tuple[Operand, ...]
    predicates: tuple[Condition, ...]


@dataclass(frozen=True, slots=True)
class Not:
    of: "Node"


@dataclass(frozen=True, slots=True)
class And:
    of: tuple["Node", ...]


@dataclass(frozen=True, slots=True)
class Or:
    of: tuple["Node", ...]


Node = Clause | History | Not | And | Or


@dataclass(frozen=True, slots=True)
class Query:
    where: Node | None
    order: tuple[tuple[str, bool], ...]  # (field, descending)


@dataclass(frozen=True, slots=True)
class QueryLanguage:
    """The wording of a language's syntax errors."""

    start: str
    operators: str = "'=', '!=', '<', '>', '<=', '>=', '~', '!~', 'IN', 'NOT IN', 'IS' and 'IS NOT'"
    reserved_words: frozenset[str] = frozenset()
    reserved_characters: str = ""


# https://support.atlassian.com/jira-software-cloud/docs/what-is-advanced-search-in-jira-cloud/ (reserved words and characters)
_RESERVED_WORDS_OF_JQL = """
abort access add after alias all alter and any are as asc at audit avg before begin between boolean break by byte catch cf char
character check checkpoint collate collation column commit connect continue count create current date decimal declare decrement default
defaults define delete delimiter desc difference distinct divide do double drop else empty encoding end equals escape exclusive exec
execute exists explain false fetch field file first float for from function go goto grant greater group having identified if immediate
in increment index initial inner inout input insert int integer intersect intersection into is isempty isnull join last left less like
limit lock long max min minus mode modify modulo more multiply next noaudit not notin nowait null number object of on option or order
outer output power previous prior privileges public raise raw remainder rename resource return returns revoke right row rowid rownum
rows select session set share size sqrt start strict string subtract sum synonym table then to trans transaction trigger true uid union
unique update user validate values view was when whenever where while with
"""
JQL = QueryLanguage(
    "Error in the JQL Query: ",
    reserved_words=frozenset(_RESERVED_WORDS_OF_JQL.split()),
    reserved_characters="{}*/%+^$#@?;",
)
CQL = QueryLanguage("Could not parse cql : ")
_SPACE = re.compile(r"\s+")
_WORD = re.compile(r"[^\s=!<>~,()\"'&|\\]+(?:\[\d+\])?")
_OPERATOR = re.compile(r"!=|!~|<=|>=|=|<|>|~|!|&&|\|\|")
_RESERVED = frozenset(["and", "or", "not", "in", "is", "empty", "null", "order", "by", "was", "changed"])
_PREDICATES = frozenset(["after", "before", "during", "on", "by", "from", "to"])


def _reserved_character(language: QueryLanguage, char: str, at: int) -> QueryError:
    return QueryError(
        f"{language.start}The character '{char}' is a reserved JQL character. You must enclose it in a string or use the "
        f"escape '\\u{ord(char):04x}' instead. (line 1, character {at + 1})"
    )


def _tokens(text: str, language: QueryLanguage) -> list[Token]:
    tokens, at = [], 0
    while at < len(text):
        if space := _SPACE.match(text, at):
            at = space.end()
            continue
        char = text[at]
        if char in "\"'":
            value, end = _string(text, at, language)
            tokens.append(Token("string", value, at))
        elif char in "(),":
            tokens.append(Token("punctuation", char, at))
            end = at + 1
        elif operator := _OPERATOR.match(text, at):
            tokens.append(Token("operator", operator.group(), at))
            end = operator.end()
        elif word := _WORD.match(text, at):
            end = word.end()
            for position in range(at, end):
                if text[position] in language.reserved_characters:
                    raise _reserved_character(language, text[position], position)
            tokens.append(Token("word", word.group(), at))
        else:
            raise _reserved_character(language, char, at)
        at = end
    return [*tokens, Token("end", "", len(text))]


def _string(text: str, start: int, language: QueryLanguage) -> tuple[str, int]:
    results: list[str] = []
    quote, at = text[start], start + 1
    while at < len(text):
        char = text[at]
        if char == quote:
            return "".join(results), at + 1
        if char == "\\" and at + 1 < len(text):
            at += 1
            char = {"n": "\n", "t": "\t", "r": "\r"}.get(text[at], text[at])
        results.append(char)
        at += 1
    broken = text[start + 1 :]
    raise QueryError(
        f"{language.start}The quoted string '{broken}' has not been completed. (line 1, character {start + 1})"
    )


class _Parser:
    def __init__(self, text: str, language: QueryLanguage) -> None:
        self.tokens = _tokens(text, language)
        self.language = language
        self.at = 0

    @property
    def token(self) -> Token:
        return self.tokens[self.at]

    def fail(self, expecting: str, advice: str = "") -> NoReturn:
        token = self.token
        if token.kind == "end":
            raise QueryError(f"{self.language.start}Expecting {expecting} before the end of the query.")
        where = f"(line 1, character {token.at + 1})"
        raise QueryError(f"{self.language.start}Expecting {expecting} but got '{token.text}'. {advice}{where}")

    def keyword(self, *words: str) -> bool:
        """Consumes the words if they are the next tokens, unquoted."""
        run = self.tokens[self.at : self.at + len(words)]
        if len(run) == len(words) and all(
            t.kind == "word" and t.text.lower() == w for t, w in zip(run, words, strict=True)
        ):
            self.at += len(words)
            return True
        return False

    def sign(self, *texts: str) -> bool:
        if self.token.kind in ("operator", "punctuation") and self.token.text in texts:
            self.at += 1
            return True
        return False

    def query(self) -> Query:
        where = None
        starts_order = self.token.kind == "word" and self.token.text.lower() == "order"
        if self.token.kind != "end" and not starts_order:
            where = self.any_of()
        order = self.order() if self.keyword("order", "by") else ()
        if self.token.kind != "end":
            self.fail("either 'OR' or 'AND'" if not order else "either ',' or 'ASC' or 'DESC'")
        return Query(where, order)

    def order(self) -> tuple[tuple[str, bool], ...]:
        fields = []
        while True:
            if self.token.kind not in ("word", "string"):
                self.fail("a field name")
            name = self.token.text
            self.at += 1
            descending = self.keyword("desc")
            if not descending:
                self.keyword("asc")
            fields.append((name, descending))
            if not self.sign(","):
                return tuple(fields)

    def any_of(self) -> Node:
        nodes = [self.all_of()]
        while self.keyword("or") or self.sign("||"):
            nodes.append(self.all_of())
        return nodes[0] if len(nodes) == 1 else Or(tuple(nodes))

    def all_of(self) -> Node:
        nodes = [self.negation()]
        while self.keyword("and") or self.sign("&&"):
            nodes.append(self.negation())
        return nodes[0] if len(nodes) == 1 else And(tuple(nodes))

    def negation(self) -> Node:
        if self.keyword("not") or self.sign("!"):
            return Not(self.negation())
        if self.sign("("):
            node = self.any_of()
            if not self.sign(")"):
                self.fail("either ')' or 'OR' or 'AND'")
            return node
        return self.clause()

    def refuse_reserved(self, token: Token, reserved: frozenset[str]) -> None:
        if token.kind == "word" and token.text.lower() in reserved:
            where = f"(line 1, character {token.at + 1})"
            raise QueryError(
                f"{self.language.start}'{token.text}' is a reserved JQL word. You must surround it in quotation marks to use it "
                f"in a query. {where}"
            )

    def clause(self) -> Clause | History:
        token = self.token
        if token.kind not in ("word", "string"):
            self.fail("a field name")
        self.refuse_reserved(token, _RESERVED | self.language.reserved_words)
        self.at += 1
        if self.language is JQL and (past := self.history(token.text)) is not None:
            return past
        operator = self.operator()
        if operator in ("in", "not in"):
            operands = self.list_of() if self.token.text == "(" else (self.operand(),)
            if not isinstance(operands[0], Function) and len(operands) == 1 and self.tokens[self.at - 1].text != ")":
                self.at -= 1
                self.fail("'('")
        else:
            operands = (self.operand(),)
        return Clause(token.text, operator, operands)

    def history(self, field: str) -> History | None:
        """WAS or CHANGED, with its predicates; None where the clause has another operator."""
        if self.keyword("changed"):
            return History(field, "changed", (), self.conditions())
        if not self.keyword("was"):
            return None
        operator = "was not" if self.keyword("not") else "was"
        if self.keyword("in"):
            return History(field, f"{operator} in", self.list_of(), self.conditions())
        return History(field, operator, (self.operand(),), self.conditions())

    def conditions(self) -> tuple[Condition, ...]:
        found = []
        while self.token.kind == "word" and self.token.text.lower() in _PREDICATES:
            word = self.token.text.lower()
            self.at += 1
            found.append(Condition(word, self.list_of() if self.token.text == "(" else (self.operand(),)))
        return tuple(found)

    def operator(self) -> str:
        token = self.token
        if token.kind == "operator" and token.text not in ("!", "&&", "||"):
            self.at += 1
            return token.text
        for words in (("not", "in"), ("in",), ("is", "not"), ("is",)):
            if self.keyword(*words):
                return " ".join(words)
        return self.fail("operator", f"The valid operators are {self.language.operators}. ")

    def list_of(self) -> tuple[Operand, ...]:
        self.sign("(")
        operands = [self.operand()]
        while self.sign(","):
            operands.append(self.operand())
        if not self.sign(")"):
            self.fail("either ')' or ','")
        return tuple(operands)

    def operand(self) -> Operand:
        token = self.token
        if token.kind == "string":
            self.at += 1
            return Value(token.text, True)
        if token.kind != "word":
            self.fail(
                "either a value, list or function",
                f"You must surround '{token.text}' in quotation marks to use it as a value. ",
            )
        if token.text.lower() not in ("empty", "null"):
            self.refuse_reserved(token, self.language.reserved_words)
        self.at += 1
        if token.text.lower() in ("empty", "null"):
            return Empty()
        if self.sign("("):
            arguments = []
            while not self.sign(")"):
                if self.token.kind not in ("word", "string"):
                    self.fail("either ')' or ','")
                arguments.append(self.token.text)
                self.at += 1
                self.sign(",")
            return Function(token.text, tuple(arguments))
        return Value(token.text, False)


def parse(text: str, language: QueryLanguage) -> Query:
    """Raises QueryError."""
    return _Parser(text, language).query()
