"""The use cases. Surfaces call them and decide nothing; each lives in the module of its name."""
