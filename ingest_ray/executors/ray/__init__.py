"""The only users of Ray. Each actor is a thin shell around the plain object of the same name in `work` or `state`."""
