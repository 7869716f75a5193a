"""Everything that decides, and nothing that does: no Ray, no clock, no I/O."""
