"""The keys of all documents in the KV.

`ingest::<vendor>::endpoint::<endpointId>::unit::<unitId>::sink::<sinkId>` is a unit's key; `::segment::<segment>`,
`::lease` and `::intent` lie under it. Ids may hold anything: `%`, `:` next to another `:` or at an end, and NUL are
written as `%XX`, so that no id can collide with another's keys and every part can be parsed.
"""

import re
from urllib.parse import unquote

from ingest_ray.sdk.refs import UnitRef

_SPECIAL = re.compile(r"[%\x00]|:(?=:)|(?<=:):|\A:|:\Z|\A\Z|[\ud800-\udfff]")


def quoted(part: str) -> str:
    """Ordinary ids (`public.orders`, `jira:cloud`) stay as they are; an empty one becomes `%`."""
    return _SPECIAL.sub(_escape, part)


def unquoted(part: str) -> str:
    return "" if part == "%" else unquote(part, errors="surrogatepass")


def unit_key(vendor: str, unit: UnitRef, sink_id: str) -> str:
    """The key of a unit and sink. `vendor`: the one of the strategy's descriptor."""
    endpoint_id, unit_id = quoted(unit.endpoint_id), quoted(unit.unit_id)
    return f"ingest::{quoted(vendor)}::endpoint::{endpoint_id}::unit::{unit_id}::sink::{quoted(sink_id)}"


def units_prefix(vendor: str, endpoint_id: str) -> str:
    """A prefix under which a scan yields all documents of the endpoint's units."""
    return f"ingest::{quoted(vendor)}::endpoint::{quoted(endpoint_id)}::unit::"


def connections_key(vendor: str, endpoint_id: str) -> str:
    """The key of an endpoint's connection shares."""
    return f"ingest::{quoted(vendor)}::endpoint::{quoted(endpoint_id)}::connections"


def site_key(budget: str) -> str:
    """The key of what the processes of an installation share of a site's budget. Not below `ingest::`: it is no unit's state."""
    return f"site::{quoted(budget)}::budget"


def segment_key(unit: str, segment: str) -> str:
    return f"{segment_prefix(unit)}{quoted(segment)}"


def segment_prefix(unit: str) -> str:
    """A prefix under which a scan yields the unit's segments and nothing else."""
    return f"{unit}::segment::"


def lease_key(unit: str) -> str:
    return f"{unit}::lease"


def intent_key(unit: str) -> str:
    return f"{unit}::intent"


def segment_of(key: str) -> str:
    """The segment that a key from `segment_prefix` belongs to."""
    return unquoted(key.rpartition("::segment::")[2])


def unit_of(key: str) -> tuple[str, str, str, str] | None:
    """(vendor, endpoint id, unit id, sink id) of a unit's key or of one under it; None for any other key."""
    parts = key.split("::")
    if len(parts) < 8 or parts[0] != "ingest" or parts[2::2][:3] != ["endpoint", "unit", "sink"]:
        return None
    return unquoted(parts[1]), unquoted(parts[3]), unquoted(parts[5]), unquoted(parts[7])


def _escape(match: re.Match[str]) -> str:
    if match.group() == "":
        return "%"
    return "".join(f"%{byte:02X}" for byte in match.group().encode(errors="surrogatepass"))
