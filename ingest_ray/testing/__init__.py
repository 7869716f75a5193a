"""Test support for authors of strategies, sinks and KVs: a scripted source, real servers, behaviour suites, simulated sites."""
