"""The only users of Ray. Each actor is a thin shell around a plain object of `engine.steps` or `state`."""
