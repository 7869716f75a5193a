"""The whole schema."""

from functools import lru_cache

import strawberry
from strawberry.schema.config import StrawberryConfig

from ingest_ray.graphql.descriptions import describe
from ingest_ray.graphql.error_codes import CodedErrors
from ingest_ray.graphql.guards import guard
from ingest_ray.graphql.mutations import Mutation
from ingest_ray.graphql.queries import Query
from ingest_ray.graphql.query_limits import query_limits
from ingest_ray.graphql.subscriptions import Subscription
from ingest_ray.service.access.roles import Role
from ingest_ray.settings import ServeSettings

guard(Query, Role.VIEWER, is_audited=False)
guard(Mutation, Role.ADMIN, is_audited=True)


class Schema(strawberry.Schema):
    def process_errors(self, *_: object, **__: object) -> None:
        """Strawberry would log every mistake of a client with its traceback; `CodedErrors` logs defects."""


def schema_for(settings: ServeSettings) -> Schema:
    return _schema(settings.max_depth, settings.max_cost)


@lru_cache(16)
def _schema(max_depth: int, max_cost: int) -> Schema:
    schema = Schema(
        query=Query,
        mutation=Mutation,
        subscription=Subscription,
        extensions=[*query_limits(max_depth, max_cost), CodedErrors],
        config=StrawberryConfig(disable_field_suggestions=False),
    )
    describe(schema._schema)
    return schema


def sdl() -> str:
    return schema_for(ServeSettings()).as_str()
