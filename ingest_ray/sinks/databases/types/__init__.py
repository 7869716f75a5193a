"""The type mappings of the databases: one module per database, and one for the temporal types that they share."""
