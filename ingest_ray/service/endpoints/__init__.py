"""Use cases about endpoints: `apply`, registration, connection tests, metadata collection, CDM tables."""
