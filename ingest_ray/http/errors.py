"""HTTP errors, each below one of `ingest_ray.sdk.errors`, which decides about the recovery.

* SourceError
  + BadRequest       400: this request will never work
    + RequestTooLarge  413, 414: a part of it may work
  + NotThere         404: the object does not exist, or this account may not see it
* SourceDenied
  + LoginPage        200 with an HTML page; taken for a lost login when it comes twice
  + ScopeMissing     401 of a good login whose token may not call this endpoint
* SourceChanged
  + EndpointGone     410: the API was removed
* SourceUnavailable
  + Refused          429: too many requests, even after waiting
  + NoAnswer         the connection failed, or ended before the response was complete
  + WaitStopped      the run stops while its requests wait for a permit
  + BrokenAnswer     5xx, or a body that does not match its header; one record may be the cause
"""

from ingest_ray.sdk.errors import SourceChanged, SourceDenied, SourceError, SourceUnavailable


class BadRequest(SourceError):
    pass


class RequestTooLarge(BadRequest):
    pass


class NotThere(SourceError):
    pass


class LoginPage(SourceDenied):
    pass


class ScopeMissing(SourceDenied):
    pass


class EndpointGone(SourceChanged):
    pass


class Refused(SourceUnavailable):
    pass


class NoAnswer(SourceUnavailable):
    pass


class BrokenAnswer(SourceUnavailable):
    pass


class WaitStopped(SourceUnavailable):
    pass
