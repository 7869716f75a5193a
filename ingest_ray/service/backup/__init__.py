"""A copy of an installation's state that fits its sinks, taken while runs go on, and its restoration."""
