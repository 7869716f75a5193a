"""Changes of a table from a database's log, whichever database it is: net effects, rows of a slice, checks of a unit."""
