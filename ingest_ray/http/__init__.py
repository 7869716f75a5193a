"""HTTP for strategies: one client that turns every response into data or a typed error, and the throttle that it follows.

aimd                the request rate and concurrency that a server accepts: pure, time is an argument
rate_limit_headers  the rate limits that a response advertises
permits             the permit protocol, and the permits of one process; a client uses `current()`
errors              HTTP errors, below those of `ingest_ray.sdk.errors`
responses           checks a response: status, login, content type
proxies             which proxy a request goes through
request             the address, headers and body of a request: pure
transport           connections: certificates, proxies and cookies; imports urllib3
logins              the Authorization header: a fixed one, or a token that ends
access_tokens       tokens of OAuth 2.0 clients, renewed once for all threads and processes
token_endpoint      the requests to token endpoints; imports urllib3
client              requests, retries, bounded bodies; imports urllib3
timing              the clocks that waiting is measured with
"""
