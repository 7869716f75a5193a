"""HTTP for strategies: one client that turns every answer into rows or into a typed error, and the throttle it obeys.

aimd      how many requests per second and at once a server bears: pure, time is an argument
signals   what an answer says about the server's limits
permits   who asks `aimd`: a protocol, and the permits of one process; `current()` is what a client uses
faults    the errors that only HTTP knows, below those of `ingest_ray.sdk.errors`
answers   an answer checked: status, login, content type
client    requests, retries, bounded bodies; imports httpx
"""
