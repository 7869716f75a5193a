"""The errors that only HTTP knows, each below one of `ingest_ray.sdk.errors`, so that the engine knows what to do about it.

* SourceError
  + BadRequest       400: this very request will never work
  + NotThere         404: nothing there, or nothing that this account may see
* SourceDenied
  + LoginPage        200 with a page for people: believed when it comes twice
* SourceChanged
  + EndpointGone     410: the API was removed
* SourceUnavailable
  + Refused          429: too many requests, even after waiting
  + NoAnswer         the connection failed, or ended before the answer did
  + BrokenAnswer     5xx, or a body that is not what its header says: may be one record's fault
"""

from ingest_ray.sdk.errors import SourceChanged, SourceDenied, SourceError, SourceUnavailable


class BadRequest(SourceError):
    pass


class NotThere(SourceError):
    pass


class LoginPage(SourceDenied):
    pass


class EndpointGone(SourceChanged):
    pass


class Refused(SourceUnavailable):
    pass


class NoAnswer(SourceUnavailable):
    pass


class BrokenAnswer(SourceUnavailable):
    pass
