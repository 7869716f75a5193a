"""Behaviour suites, one per contract: an implementation runs one by giving a fixture."""
