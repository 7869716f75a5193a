"""Limits of one query: depth, aliases and tokens by strawberry's own extensions, and its cost."""

from collections.abc import Iterator, Mapping
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
    SelectionSetNode,
    ValidationRule,
    VariableNode,
    get_named_type,
    is_list_type,
    is_non_null_type,
)
from strawberry.extensions import MaxAliasesLimiter, MaxTokensLimiter, QueryDepthLimiter, SchemaExtension

DEFAULT_ITEMS = 50  # in a list whose length no argument sets
MOST_ALIASES = 40
MOST_TOKENS = 4_000


class CostLimiter(SchemaExtension):
    """Refuses a query whose answer would have more than `most` fields, before anything is read."""

    def __init__(self, most: int) -> None:
        self._most = most

    def on_operation(self) -> Iterator[None]:
        context, most = self.execution_context, self._most

        class CostRule(ValidationRule):
            def enter_document(self, node: DocumentNode, *_: object) -> None:
                cost = cost_of(self.context.schema, node, context.variables or {})
                if cost > most:
                    message = f"the query would cost {cost}, at most {most} is allowed: ask for fewer items or fields"
                    self.report_error(GraphQLError(message))

        context.validation_rules = (*context.validation_rules, CostRule)
        yield


def cost_of(schema: GraphQLSchema, document: DocumentNode, variables: Mapping[str, Any]) -> int:
    """The number of fields in the answer if every list has the length that its argument sets."""
    parts = {part.name.value: part for part in document.definitions if isinstance(part, FragmentDefinitionNode)}
    counter = _CostCounter(schema, parts, variables)
    return sum(counter.operation(part) for part in document.definitions if isinstance(part, OperationDefinitionNode))


class _CostCounter:
    def __init__(
        self, schema: GraphQLSchema, fragments: Mapping[str, FragmentDefinitionNode], variables: Mapping[str, Any]
    ) -> None:
        self._schema = schema
        self._fragments = fragments
        self._variables = variables
        self._open: list[str] = []

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
            elif isinstance(item, FragmentSpreadNode):
                total += self._fragment(item.name.value, parent)
        return total

    def _fragment(self, name: str, parent: Any) -> int:
        """Cycles and unknown fragments count 0: other rules refuse them."""
        if name in self._open or name not in self._fragments:
            return 0
        self._open.append(name)
        cost = self._selection(self._fragments[name].selection_set, parent)
        self._open.pop()
        return cost

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
                    without_nulls = self._variables.get(value.name.value)
                    return max(1, without_nulls) if isinstance(without_nulls, int) else DEFAULT_ITEMS
        return DEFAULT_ITEMS


def query_limits(max_depth: int, max_cost: int) -> list[Any]:
    return [
        lambda: QueryDepthLimiter(max_depth=max_depth),
        lambda: MaxAliasesLimiter(max_alias_count=MOST_ALIASES),
        lambda: MaxTokensLimiter(max_token_count=MOST_TOKENS),
        lambda: CostLimiter(max_cost),
    ]
