"""Everything that a source needs to know, one folder per family. The engine finds them through entry points."""
