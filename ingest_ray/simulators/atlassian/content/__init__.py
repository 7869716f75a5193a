"""What both products are filled with: people, rich text, seeded random values, the clock."""
