"""Sites of these tests take many requests at once."""

from tests.quick_sites import quick_sites

__all__ = ["quick_sites"]
