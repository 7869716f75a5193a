"""The common data model in Iceberg: a table per model, which many units share."""
