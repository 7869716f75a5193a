"""Temporal's data converter with the payload guard: every payload that leaves or enters a process passes it.

It covers arguments, results, heartbeats, signals, queries and error details, in workers and in clients.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from temporalio.api.common.v1 import Payload
from temporalio.contrib.pydantic import PydanticPayloadConverter, pydantic_data_converter
from temporalio.exceptions import ApplicationError

from ingest_ray.payloads.guard import check_content, check_size
from ingest_ray.sdk.errors import PayloadTooLarge


class GuardedConverter(PydanticPayloadConverter):
    def to_payloads(self, values: Sequence[Any]) -> list[Payload]:
        try:
            for value in values:
                check_content(value)
            payloads = super().to_payloads(values)
            _check_sizes(payloads)
        except PayloadTooLarge as error:
            raise refused(error) from None
        return payloads

    def from_payloads(self, payloads: Sequence[Payload], type_hints: list[type] | None = None) -> list[Any]:
        try:
            _check_sizes(payloads)
        except PayloadTooLarge as error:
            raise refused(error) from None
        return super().from_payloads(payloads, type_hints)


def _check_sizes(payloads: Sequence[Payload]) -> None:
    for payload in payloads:
        check_size(payload.ByteSize())
    check_size(sum(payload.ByteSize() for payload in payloads), "a message")


def refused(error: PayloadTooLarge) -> ApplicationError:
    """A failure of Temporal that fails the workflow or activity without a retry."""
    return ApplicationError(f"{error.message}; {error.hint}", type=error.code, non_retryable=True)


data_converter = replace(pydantic_data_converter, payload_converter_class=GuardedConverter)
