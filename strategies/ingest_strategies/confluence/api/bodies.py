"""Many bodies in one request; where that fails, half as many, down to the one that is at fault. Only that one is lost."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

from msgspec import Raw, Struct

from ingest_ray.http.client import Tries
from ingest_ray.http.errors import BrokenAnswer, NotThere
from ingest_strategies.confluence.api.client import Found, Limits, Suspect, Web, chunked
from ingest_strategies.confluence.api.responses import Text, decoder


class Head(Struct):
    id: str
    title: str | None = None
    body: dict[str, Text] = {}


_head, _raw = decoder(Head), decoder(Raw)
Bulk = Callable[[Sequence[str], Tries | None], list[Raw]]
Single = Callable[[str, str | None, Tries], Raw]
"""(id, body format or None for no body) -> the object. Raises `NotThere`."""


class Bodies:
    """`bulk` gives what it has of some ids; `single` gives one, in any format. `formats` are those to try, in order."""

    def __init__(self, web: Web, limits: Limits, bulk: Bulk, single: Single, formats: Sequence[str]) -> None:
        self.web = web
        self.limits = limits
        self.bulk = bulk
        self.single = single
        self.formats = formats
        self.fewer = replace(web.client.site.tries, failures=2)

    def read(self, ids: Sequence[str], suspects: list[Suspect]) -> Iterator[list[Found]]:
        """What is gone meanwhile is left out; what is there and cannot be had is in `suspects`."""
        chunks = chunked(ids, self.limits.most_bodies)
        yield from self.web.spread(lambda chunk: self._chunk(chunk, suspects, None), chunks)

    def _chunk(self, ids: Sequence[str], suspects: list[Suspect], tries: Tries | None) -> list[Found]:
        if len(ids) > self.limits.most_bodies:
            parts = chunked(ids, self.limits.most_bodies)
            return [one for part in parts for one in self._chunk(part, suspects, tries)]
        try:
            found = {_head(body).id: Found(body) for body in self.bulk(ids, tries)}
        except (BrokenAnswer, NotThere) as error:
            if len(ids) == 1:
                one = self._alone(ids[0], error, suspects)
                return [one] if one is not None else []
            middle, before = len(ids) // 2, len(suspects)
            halves = (ids[:middle], ids[middle:])
            both = [one for half in halves for one in self._chunk(half, suspects, self.fewer)]
            if len(suspects) == before and not any(one.fault for one in both):
                self.limits.shrink(middle)  # nothing was wrong but the size
            return both
        missing = [self._alone(number, None, suspects) for number in ids if number not in found]
        return [*found.values(), *(one for one in missing if one is not None)]

    def _alone(self, number: str, error: Exception | None, suspects: list[Suspect]) -> Found | None:
        """First as it was asked for, then in the other format; then only its head: that it is there at all."""
        for turn, form in enumerate(self.formats):
            try:
                body = self.single(number, form, self.fewer)
            except NotThere:
                return None
            except BrokenAnswer as broken:
                error = error or broken
                continue
            if not turn:
                return Found(body)
            text = _head(body).body.get(form)
            return Found(body, text.value if text else None, form, f"{self.formats[0]}: {error}")
        try:
            head = _head(self.single(number, None, self.fewer))
        except NotThere:
            return None
        suspects.append(Suspect(number, head.title, str(error)))
        return None


def halved(web: Web, ids: Sequence[str], bulk: Bulk, suspects: list[Suspect], tries: Tries | None = None) -> list[Raw]:
    """Comments and attachments, which search gives whole: the one that spoils every answer is a suspect."""
    try:
        return bulk(ids, tries)
    except BrokenAnswer as error:
        if len(ids) == 1:
            suspects.append(Suspect(ids[0], None, str(error)))
            return []
    middle, fewer = len(ids) // 2, replace(web.client.site.tries, failures=2)
    return [body for half in (ids[:middle], ids[middle:]) for body in halved(web, half, bulk, suspects, fewer)]
