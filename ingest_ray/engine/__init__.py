"""Carries out one run: the coordinator drives the ledger, an executor performs its instructions, `steps` do the work."""
