"""What the compilers of JQL and CQL share: a query's tree becomes index ranges and one predicate over indexed records."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

from ingest_ray.simulators.atlassian.query.grammar import And, Clause, History, Node, Not, Or, QueryError

FOREVER_MS = 1 << 60
Record = TypeVar("Record")
Search = TypeVar("Search")


class PredicateCompiler(ABC, Generic[Record, Search]):
    """Compiles AND, OR and NOT; a subclass compiles the clauses of one language."""

    def compile_where(self, search: Search, where: Node | None) -> Callable[[Record], bool] | None:
        """Narrows `search` by the clauses of the top conjunction that are index ranges; the others become one predicate."""
        nodes = where.of if isinstance(where, And) else (where,) if where else ()
        others = [
            self._predicate(node) for node in nodes if not (isinstance(node, Clause) and self._narrow(search, node))
        ]
        return all_of(others) if len(others) > 1 else others[0] if others else None

    def _predicate(self, node: Node) -> Callable[[Record], bool]:
        match node:
            case And(of):
                return all_of([self._predicate(n) for n in of])
            case Or(of):
                choices = [self._predicate(n) for n in of]
                return lambda record: any(choice(record) for choice in choices)
            case Not(of):
                negated = self._predicate(of)
                return lambda record: not negated(record)
            case History():
                return self._history(node)
            case Clause():
                return self._clause(node)

    @abstractmethod
    def _narrow(self, search: Search, clause: Clause) -> bool:
        """Turns a clause of the top conjunction into an index range; False where it is none."""

    def _history(self, node: History) -> Callable[[Record], bool]:
        raise QueryError(f"The operator '{node.operator}' is not supported.")

    @abstractmethod
    def _clause(self, clause: Clause) -> Callable[[Record], bool]: ...


def all_of(predicates: Sequence[Callable[[Record], bool]]) -> Callable[[Record], bool]:
    return lambda record: all(predicate(record) for predicate in predicates)


def has_words(text: str, words: Sequence[str]) -> bool:
    """Whether a text has every word, in any case of letters; a trailing `*` of a word is ignored."""
    lowered = text.lower()
    return all(word.rstrip("*") in lowered for word in words)
