"""HTTP for strategies: one client that turns every response into data or a typed error, and the throttle that it follows.

aimd      the request rate and concurrency that a server accepts: pure, time is an argument
signals   the rate limits that a response advertises
permits   the permit protocol, and the permits of one process; a client uses `current()`
faults    HTTP errors, below those of `ingest_ray.sdk.errors`
answers   checks a response: status, login, content type
client    requests, retries, bounded bodies; imports httpx
"""
