"""Limits of one query: tokens by strawberry's own extension; depth, fields, aliases and cost counted before it is validated."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from graphql import (
    DocumentNode,
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    GraphQLError,
    GraphQLField,
    GraphQLInterfaceType,
    GraphQLObjectType,
    GraphQLSchema,
    InlineFragmentNode,
    IntValueNode,
    OperationDefinitionNode,
    OperationType,
    SelectionNode,
    SelectionSetNode,
    VariableNode,
    get_named_type,
    is_list_type,
    is_non_null_type,
)
from starlette.websockets import WebSocket
from strawberry.extensions import MaxTokensLimiter, SchemaExtension

DEFAULT_ITEMS = 50  # in a list whose length no argument sets
MOST_ALIASES = 40
MOST_TOKENS = 4_000
MOST_FIELDS = 500


class SizeLimiter(SchemaExtension):
    """Refuses a query that is too deep, has too many fields, or whose answer would have too many, before it is validated and before
    anything is read: validation compares fields in pairs."""

    def __init__(self, max_depth: int, max_cost: int) -> None:
        self._max_depth = max_depth
        self._max_cost = max_cost

    def on_validate(self) -> Iterator[None]:
        context = self.execution_context
        if context.graphql_document is not None and context.pre_execution_errors is None:
            schema = context.schema._schema  # the library has no other access to it
            message = self._fault(schema, context.graphql_document, context.variables or {})
            if message is not None:
                context.pre_execution_errors = [GraphQLError(message)]
        yield

    def _fault(self, schema: GraphQLSchema, document: DocumentNode, variables: Mapping[str, Any]) -> str | None:
        fields, aliases = _count_fields(document)
        if fields > MOST_FIELDS:
            return f"the query has {fields} fields, at most {MOST_FIELDS} are allowed"
        if aliases > MOST_ALIASES:
            return f"{aliases} aliases found. Allowed: {MOST_ALIASES}"
        size = size_of(schema, document, variables, self._max_cost)
        if size.depth > self._max_depth:
            return f"the query exceeds maximum operation depth of {self._max_depth}"
        if size.cost > self._max_cost:
            return (
                f"the query would cost {size.cost}, at most {self._max_cost} is allowed: ask for fewer items or fields"
            )
        return None


class SubscriptionsBySocket(SchemaExtension):
    """Refuses subscriptions over HTTP, which this server does not stream."""

    def on_validate(self) -> Iterator[None]:
        context = self.execution_context
        document = context.graphql_document
        is_subscription = document is not None and any(
            isinstance(part, OperationDefinitionNode) and part.operation is OperationType.SUBSCRIPTION
            for part in document.definitions
        )
        if is_subscription and not isinstance(getattr(context.context, "request", None), WebSocket):
            context.pre_execution_errors = [GraphQLError("subscriptions need a WebSocket (graphql-transport-ws)")]
        yield


def _count_fields(document: DocumentNode) -> tuple[int, int]:
    """Selections and aliases as written: a fragment counts once, however often it is spread."""
    fields = aliases = 0
    waiting: list[Any] = list(document.definitions)
    while waiting:
        node = waiting.pop()
        aliases += getattr(node, "alias", None) is not None
        selection_set = getattr(node, "selection_set", None)
        selections = selection_set.selections if selection_set is not None else ()
        fields += len(selections)
        waiting.extend(selections)
    return fields, aliases


@dataclass(frozen=True)
class Size:
    """`cost`: the number of fields in the answer if every list has the length that its argument sets. `depth`: of nested fields."""

    cost: int = 0
    depth: int = 0


def size_of(schema: GraphQLSchema, document: DocumentNode, variables: Mapping[str, Any], most: int = 10**9) -> Size:
    """Counts no further than one above `most`."""
    parts = {part.name.value: part for part in document.definitions if isinstance(part, FragmentDefinitionNode)}
    sizes = [
        _SizeCounter(schema, parts, _with_defaults(part, variables), most).operation(part)
        for part in document.definitions
        if isinstance(part, OperationDefinitionNode)
    ]
    return Size(sum(size.cost for size in sizes), max((size.depth for size in sizes), default=0))


def _with_defaults(operation: OperationDefinitionNode, variables: Mapping[str, Any]) -> dict[str, Any]:
    defaults = {
        definition.variable.name.value: int(definition.default_value.value)
        for definition in operation.variable_definitions or ()
        if isinstance(definition.default_value, IntValueNode)
    }
    return {**defaults, **variables}


class _SizeCounter:
    """Each fragment is counted once for each type that it stands in, however often it is spread."""

    def __init__(
        self,
        schema: GraphQLSchema,
        fragments: Mapping[str, FragmentDefinitionNode],
        variables: Mapping[str, Any],
        most: int,
    ) -> None:
        self._schema = schema
        self._fragments = fragments
        self._variables = variables
        self._most = most
        self._known: dict[tuple[str, int], Size] = {}
        self._open: set[str] = set()

    def operation(self, node: OperationDefinitionNode) -> Size:
        return self._selection(node.selection_set, self._schema.get_root_type(node.operation))

    def _selection(self, node: SelectionSetNode | None, parent: Any) -> Size:
        cost = depth = 0
        for item in node.selections if node is not None else ():
            size = self._item(item, parent)
            cost, depth = cost + size.cost, max(depth, size.depth)
            if cost > self._most:
                return Size(self._most + 1, depth)
        return Size(cost, depth)

    def _item(self, item: SelectionNode, parent: Any) -> Size:
        if isinstance(item, FieldNode):
            return self._field(item, parent)
        if isinstance(item, InlineFragmentNode):
            return self._selection(item.selection_set, parent)
        assert isinstance(item, FragmentSpreadNode)
        return self._fragment(item.name.value, parent)

    def _fragment(self, name: str, parent: Any) -> Size:
        """Cycles and unknown fragments count 0: other rules refuse them."""
        if name in self._open or name not in self._fragments:
            return Size()
        key = name, id(parent)
        if key not in self._known:
            self._open.add(name)
            self._known[key] = self._selection(self._fragments[name].selection_set, parent)
            self._open.discard(name)
        return self._known[key]

    def _field(self, node: FieldNode, parent: Any) -> Size:
        fields: Mapping[str, GraphQLField] = (
            parent.fields if isinstance(parent, (GraphQLObjectType, GraphQLInterfaceType)) else {}
        )
        field = fields.get(node.name.value)
        if field is None:  # introspection, or unknown
            return Size(1 + self._selection(node.selection_set, None).cost)
        inner = self._selection(node.selection_set, get_named_type(field.type))
        kind = field.type.of_type if is_non_null_type(field.type) else field.type
        is_many = is_list_type(kind) or "edges" in getattr(get_named_type(field.type), "fields", {})
        items = self._items(node, field) if is_many and inner.cost else 1
        return Size(min(1 + inner.cost * items, self._most + 1), 1 + inner.depth if node.selection_set else 0)

    def _items(self, node: FieldNode, field: GraphQLField) -> int:
        for argument in node.arguments or ():
            if argument.name.value in ("first", "limit"):
                value = argument.value
                if isinstance(value, IntValueNode):
                    return max(1, int(value.value))
                if isinstance(value, VariableNode):
                    without_nulls = self._variables.get(value.name.value)
                    return max(1, without_nulls) if isinstance(without_nulls, int) else DEFAULT_ITEMS
        return DEFAULT_ITEMS


def query_limits(max_depth: int, max_cost: int) -> list[Any]:
    return [
        lambda: MaxTokensLimiter(max_token_count=MOST_TOKENS),
        lambda: SizeLimiter(max_depth, max_cost),
        SubscriptionsBySocket,
    ]
