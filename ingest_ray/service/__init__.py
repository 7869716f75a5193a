"""The use cases, each in the module of its name. Surfaces call them and decide nothing."""
