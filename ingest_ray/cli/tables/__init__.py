"""Results of use cases as tables that fit 80 columns, by subject."""
