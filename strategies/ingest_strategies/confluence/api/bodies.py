"""Reads many bodies in one request, and halves a request that fails, down to the one content at fault. Only that one is lost."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from threading import Lock

from msgspec import Raw, Struct

from ingest_ray.http.client import Tries
from ingest_ray.http.errors import BrokenAnswer, NotThere, RequestTooLarge
from ingest_strategies.atlassian.json_decoding import decoder
from ingest_strategies.atlassian.site_client import chunked
from ingest_strategies.confluence.api.client import ConfluenceClient
from ingest_strategies.confluence.api.contract import FetchedContent, UnreadableContent
from ingest_strategies.confluence.api.responses import BodyText


class ContentHead(Struct, gc=False):
    id: str
    title: str | None = None
    body: dict[str, BodyText | None] | None = None


_head = decoder(ContentHead)
ReadMany = Callable[[Sequence[str], Tries | None], list[Raw]]
ReadOne = Callable[[str, str | None, Tries], Raw]
"""(id, body format or None for no body) -> the object. Raises `NotThere`."""


@dataclass
class BodyLimit:
    """How many bodies the site gives in one answer; learned while reading, per process."""

    most: int
    lock: Lock = field(default_factory=Lock)

    def shrink(self, to: int) -> None:
        with self.lock:
            self.most = max(1, min(self.most, to))


class BodyReader:
    """`read_many` gives bodies of those ids that it has; `read_one` gives one, in any format. `formats` are tried in order."""

    def __init__(
        self,
        client: ConfluenceClient,
        limit: BodyLimit,
        read_many: ReadMany,
        read_one: ReadOne,
        formats: Sequence[str],
    ) -> None:
        self.client = client
        self.limit = limit
        self.read_many = read_many
        self.read_one = read_one
        self.formats = formats
        self.fewer_tries = replace(client.http.site.tries, failures=2)

    def read(self, ids: Sequence[str], unreadable: list[UnreadableContent]) -> Iterator[list[FetchedContent]]:
        """Omits content that is deleted meanwhile; appends content that exists and cannot be read to `unreadable`."""
        chunks = chunked(ids, self.limit.most)
        yield from self.client.map_concurrently(lambda chunk: self._read_chunk(chunk, unreadable, None), chunks)

    def _read_chunk(
        self, ids: Sequence[str], unreadable: list[UnreadableContent], tries: Tries | None
    ) -> list[FetchedContent]:
        if len(ids) > self.limit.most:
            parts = chunked(ids, self.limit.most)
            return [content for part in parts for content in self._read_chunk(part, unreadable, tries)]
        try:
            by_id = {_head(body).id: FetchedContent(body) for body in self.read_many(ids, tries)}
        except (BrokenAnswer, NotThere, RequestTooLarge) as error:
            if len(ids) == 1:
                single = self._read_alone(ids[0], error, unreadable)
                return [single] if single is not None else []
            middle, before = len(ids) // 2, len(unreadable)
            halves = (ids[:middle], ids[middle:])
            contents = [content for half in halves for content in self._read_chunk(half, unreadable, self.fewer_tries)]
            if len(unreadable) == before and not any(content.fault for content in contents):
                self.limit.shrink(middle)  # only the size was at fault
            return contents
        others = [self._read_alone(number, None, unreadable) for number in ids if number not in by_id]
        return [*by_id.values(), *(content for content in others if content is not None)]

    def _read_alone(
        self, number: str, error: Exception | None, unreadable: list[UnreadableContent]
    ) -> FetchedContent | None:
        """Tries each format in order, then only the head, which proves that the content exists."""
        for index, body_format in enumerate(self.formats):
            try:
                body = self.read_one(number, body_format, self.fewer_tries)
            except NotThere:
                return None
            except BrokenAnswer as broken:
                error = error or broken
                continue
            if not index:
                return FetchedContent(body)
            text = (_head(body).body or {}).get(body_format)
            return FetchedContent(body, text.value if text else None, body_format, f"{self.formats[0]}: {error}")
        try:
            head = _head(self.read_one(number, None, self.fewer_tries))
        except NotThere:
            return None
        unreadable.append(UnreadableContent(number, head.title, str(error)))
        return None


def read_by_halves(
    client: ConfluenceClient,
    ids: Sequence[str],
    read_many: ReadMany,
    unreadable: list[UnreadableContent],
    tries: Tries | None = None,
) -> list[Raw]:
    """Content that search gives whole. One that breaks every answer it is in becomes unreadable."""
    try:
        return read_many(ids, tries)
    except (BrokenAnswer, RequestTooLarge) as error:
        if len(ids) == 1:
            unreadable.append(UnreadableContent(ids[0], None, str(error)))
            return []
    middle, fewer_tries = len(ids) // 2, replace(client.http.site.tries, failures=2)
    halves = (ids[:middle], ids[middle:])
    return [body for half in halves for body in read_by_halves(client, half, read_many, unreadable, fewer_tries)]
