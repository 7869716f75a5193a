"""How much one query may ask for: depth, aliases, tokens by strawberry's own limits, and a cost that arguments make."""

from collections.abc import Iterator, Mapping
from typing import Any

from graphql import (
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
    SelectionSetNode,
    VariableNode,
    get_named_type,
    is_list_type,
    is_non_null_type,
)
from strawberry.extensions import MaxAliasesLimiter, MaxTokensLimiter, QueryDepthLimiter, SchemaExtension

USUAL_ITEMS = 50  # of a list whose length no argument says
MOST_ALIASES = 40
MOST_TOKENS = 4_000


class CostLimiter(SchemaExtension):
    """Refuses, before anything is read, a query that would make the server answer more than `most` fields."""

    def __init__(self, most: int) -> None:
        self._most = most

    def on_validate(self) -> Iterator[None]:
        yield
        context = self.execution_context
        document = context.graphql_document
        if document is None or context.pre_execution_errors:
            return
        schema: GraphQLSchema = context.schema._schema
        parts = {part.name.value: part for part in document.definitions if isinstance(part, FragmentDefinitionNode)}
        counter = _Counter(schema, parts, context.variables or {})
        cost = sum(
            counter.operation(part) for part in document.definitions if isinstance(part, OperationDefinitionNode)
        )
        if cost > self._most:
            said = f"the query would cost {cost}, at most {self._most} is allowed: ask for fewer items or fields"
            context.pre_execution_errors = [GraphQLError(said, extensions={"code": "E_BAD_INPUT"})]


class _Counter:
    def __init__(
        self, schema: GraphQLSchema, fragments: Mapping[str, FragmentDefinitionNode], variables: Mapping[str, Any]
    ) -> None:
        self._schema = schema
        self._fragments = fragments
        self._variables = variables

    def operation(self, node: OperationDefinitionNode) -> int:
        root = self._schema.get_root_type(node.operation)
        return self._selection(node.selection_set, root)

    def _selection(self, node: SelectionSetNode | None, parent: Any) -> int:
        total = 0
        for item in node.selections if node is not None else ():
            if isinstance(item, FieldNode):
                total += self._field(item, parent)
            elif isinstance(item, InlineFragmentNode):
                total += self._selection(item.selection_set, parent)
            elif isinstance(item, FragmentSpreadNode):  # cycles were refused before
                total += self._selection(self._fragments[item.name.value].selection_set, parent)
        return total

    def _field(self, node: FieldNode, parent: Any) -> int:
        fields: Mapping[str, GraphQLField] = (
            parent.fields if isinstance(parent, (GraphQLObjectType, GraphQLInterfaceType)) else {}
        )
        field = fields.get(node.name.value)
        if field is None:  # introspection
            return 1
        inner = self._selection(node.selection_set, get_named_type(field.type))
        kind = field.type.of_type if is_non_null_type(field.type) else field.type
        is_many = is_list_type(kind) or "edges" in getattr(get_named_type(field.type), "fields", {})
        return 1 + inner * (self._items(node, field) if is_many and inner else 1)

    def _items(self, node: FieldNode, field: GraphQLField) -> int:
        for argument in node.arguments or ():
            if argument.name.value in ("first", "limit"):
                value = argument.value
                if isinstance(value, IntValueNode):
                    return max(1, int(value.value))
                if isinstance(value, VariableNode):
                    given = self._variables.get(value.name.value)
                    return max(1, given) if isinstance(given, int) else USUAL_ITEMS
        return USUAL_ITEMS


def limits(max_depth: int, max_cost: int) -> list[Any]:
    return [
        lambda: QueryDepthLimiter(max_depth=max_depth),
        lambda: MaxAliasesLimiter(max_alias_count=MOST_ALIASES),
        lambda: MaxTokensLimiter(max_token_count=MOST_TOKENS),
        lambda: CostLimiter(max_cost),
    ]
