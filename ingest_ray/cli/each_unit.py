"""Carries out a command for each unit that its UNIT argument names: one id, or a pattern such as `public.*`.

A name gives the one document and the one error of the command. A pattern gives a list: a unit that fails does not keep the others from
their turn, and its error stands in its place.
"""

import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, TextIO, TypeVar

from ingest_ray.cli.invocation import Invocation
from ingest_ray.cli.output import FAILURE, MISTAKE, SUCCESS
from ingest_ray.sdk.errors import IngestError
from ingest_ray.sdk.refs import UnitRef

if TYPE_CHECKING:
    from pydantic import BaseModel

ResultT = TypeVar("ResultT", bound="BaseModel")
MOST_NAMES = 5  # units that a question names


@dataclass(frozen=True)
class NamedUnits:
    """The units that were named; `is_list`: by a pattern, or by none, so that the result is a list."""

    refs: tuple[UnitRef, ...]
    is_list: bool

    @property
    def text(self) -> str:
        """`shop:a`, or `3 units (shop:a, shop:b, shop:c)`."""
        if not self.is_list:
            return str(self.refs[0])
        more = ", ..." if len(self.refs) > MOST_NAMES else ""
        return f"{len(self.refs)} units ({', '.join(map(str, self.refs[:MOST_NAMES]))}{more})"


def named_units(invocation: Invocation, endpoint_id: str, unit: str) -> NamedUnits:
    """The configured units of an id or pattern. Raises `EndpointNotFound`, `UnitNotFound`."""
    from ingest_ray.service.units.selection import select_units

    found = select_units(invocation.installation, endpoint_id, [unit], only_enabled=False)
    return NamedUnits(tuple(UnitRef(endpoint_id, each) for each in found), is_list=found != [unit])


def for_each_unit(
    invocation: Invocation,
    units: NamedUnits,
    plural: str,
    work: Callable[[UnitRef], ResultT],
    show: Callable[[ResultT, TextIO], None],
    nothing: str = "no unit",
) -> int:
    """Writes the results, and returns the exit code. `plural`: the key of the list in the JSON document; `nothing`: the text for no unit."""
    output = invocation.output
    if not units.is_list:
        result = work(units.refs[0])
        output.write(result, lambda out: show(result, out))
        return SUCCESS
    documents: list[dict[str, object]] = []
    code = SUCCESS
    for ref in units.refs:
        try:
            result = work(ref)
        except IngestError as error:
            code = max(code, MISTAKE if error.is_user_mistake else FAILURE)
            documents.append(_error_document(ref, error))
            if not output.is_json:
                output.stream.flush()
                output.write_error(error.code, f"{ref}: {error.message}", error.hint)
            continue
        documents.append(result.model_dump(mode="json"))
        if not output.is_json:
            show(result, output.stream)
    if output.is_json:
        output.write({plural: documents}, lambda out: None)
    elif not units.refs:
        print(nothing, file=sys.stderr)
    return code


def _error_document(ref: UnitRef, error: IngestError) -> dict[str, object]:
    from ingest_ray import logs

    fault = {
        "code": error.code,
        "message": logs.scrub(error.message),
        "hint": logs.scrub(error.hint) if error.hint else None,
    }
    return {"endpoint_id": ref.endpoint_id, "unit_id": ref.unit_id, "error": fault}
