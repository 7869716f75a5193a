"""The pages and dialogs of units: lists, one unit, its configuration, its plan, and the actions on it."""
