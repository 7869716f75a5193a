"""The layout of a Delta table: its partitions, merges that read only what they must, compaction, and the change of a layout."""
