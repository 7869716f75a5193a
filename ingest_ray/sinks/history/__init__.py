"""Histories: every version of a row, each with the time from which and until which it was valid (slowly changing dimension, type 2)."""
