"""What the author of a source, sink or mapper imports: contracts, types, errors, Arrow types, sessions, references."""
