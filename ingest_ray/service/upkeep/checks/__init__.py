"""The checks of `doctor`: each yields status, message and hint of what it finds; nothing: all is well."""
