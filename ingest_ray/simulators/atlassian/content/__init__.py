"""Content of both products: people, rich text, seeded random values, the clock."""
