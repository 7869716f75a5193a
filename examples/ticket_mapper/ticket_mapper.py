"""Maps the dataset `tickets` of a CSV folder to rows of `cdm.work.item`."""

from collections.abc import Iterator
from typing import ClassVar

from csv_folder import Config, CsvFolder

from ingest_ray.cdm import CdmRow, MapContext, Row, RowMapper, cdm_id
from ingest_ray.sdk.errors import RecordError
from ingest_ray.sdk.simple_source import Descriptor

ITEM, USER = "cdm.work.item", "cdm.work.user"


class TicketFolder(CsvFolder):
    """A CSV folder whose unit `tickets` names the models of its mapper: without them it could not run in CDM mode."""

    descriptor = Descriptor("example.tickets", "STREAM", "Tickets", "tickets", Config, capabilities=("full", "preview"))
    cdm_models: ClassVar = {"tickets": (ITEM, USER)}


def ticket_rows(row: Row, context: MapContext) -> Iterator[CdmRow]:
    if row["title"] is None:
        raise RecordError("a ticket needs a title", column="title")
    user = cdm_id(USER, context.system, row["owner"]) if row["owner"] else None
    yield (
        ITEM,
        {
            "cdm_id": cdm_id(ITEM, context.system, row["id"]),
            "source_system": context.system,
            "source_id": str(row["id"]),
            "summary": row["title"],
            "assignee_cdm_id": user,
        },
    )
    if user is not None:
        yield USER, {"cdm_id": user, "source_system": context.system, "source_user_id": row["owner"]}


tickets = TicketFolder()
mappers = {"tickets": RowMapper("example-tickets/1", (ITEM, USER), ticket_rows)}
