"""The layout of an Iceberg table: its partition spec and sort order, files of one partition each, compaction, and the change of a layout."""
