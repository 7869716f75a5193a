"""Answers with a file's bytes, or with one range of them."""

from ingest_ray.simulators.atlassian.server.routing import Call, Reply


def ranged_reply(call: Call, body: bytes, kind: str) -> Reply:
    """The whole body, or one range of it: `bytes=a-b`, `bytes=a-`, `bytes=-n`; 416 where it lies outside."""
    requested = call.headers.get("range", "")
    if not requested.startswith("bytes=") or "," in requested:
        return Reply(200, body, {"Accept-Ranges": "bytes"}, kind)
    first, _, last = requested[6:].partition("-")
    size = len(body)
    start = int(first) if first else max(size - int(last), 0)
    end = min(int(last), size - 1) if first and last else size - 1
    if start >= size or start > end:
        return Reply(416, b"", {"Content-Range": f"bytes */{size}"}, kind)
    return Reply(
        206, body[start : end + 1], {"Content-Range": f"bytes {start}-{end}/{size}", "Accept-Ranges": "bytes"}, kind
    )
