"""The slot that the units of an endpoint share."""
