"""The structure of a JQL query, as `jql/parse` answers it.

https://developer.atlassian.com/cloud/jira/platform/rest/v3/api-group-jql/#api-rest-api-3-jql-parse-post
"""

from typing import Any

from ingest_ray.simulators.atlassian.query.grammar import (
    JQL,
    And,
    Clause,
    Empty,
    Function,
    History,
    Node,
    Not,
    Operand,
    Or,
    QueryError,
    parse,
)

Json = dict[str, Any]


def parse_structure(text: str) -> Json:
    """The structure of a query, or its syntax errors."""
    try:
        query = parse(text, JQL)
    except QueryError as error:
        return {"query": text, "errors": [str(error)]}
    structure: Json = {"where": _where(query.where)} if query.where is not None else {}
    if query.order:
        fields = [{"field": _field(name), "direction": "desc" if down else "asc"} for name, down in query.order]
        structure["orderBy"] = {"fields": fields}
    return {"query": text, "structure": structure}


def _field(name: str) -> Json:
    return {"name": name, "encodedName": name if name.isidentifier() else f'"{name}"'}


def _where(node: Node) -> Json:
    match node:
        case And(of):
            return {"clauses": [_where(n) for n in of], "operator": "and"}
        case Or(of):
            return {"clauses": [_where(n) for n in of], "operator": "or"}
        case Not(of):
            return {"clauses": [_where(of)], "operator": "not"}
        case History():
            document: Json = {"field": _field(node.field), "operator": node.operator}
            document |= {"operand": _operand(node.operands[0])} if node.operands else {}
            predicates = [{"operator": p.word, "operand": _operand(p.operands[0])} for p in node.predicates]
            return document | {"predicates": predicates}
        case Clause():
            is_list = node.operator in ("in", "not in")
            operands = [_operand(o) for o in node.operands]
            operand = {"values": operands} if is_list and not isinstance(node.operands[0], Function) else operands[0]
            return {"field": _field(node.field), "operator": node.operator, "operand": operand}


def _operand(operand: Operand) -> Json:
    match operand:
        case Empty():
            return {"keyword": "empty"}
        case Function(name, arguments):
            return {"function": name, "arguments": list(arguments)}
        case _:
            return {"value": operand.text, "encodedValue": f'"{operand.text}"' if operand.quoted else operand.text}
