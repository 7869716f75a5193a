"""CDM models in tables of a lake, whatever its format: which rows a commit takes, and the record of a commit of several tables."""
