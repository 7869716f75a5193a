"""Behaviour suites, one per contract: an implementation joins with a fixture."""
