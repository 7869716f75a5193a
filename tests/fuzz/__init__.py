"""Bad input of every kind: a typed error or a row in quarantine, never a trace, never a silent skip."""
