"""Bad input of every kind: a typed error or a row in quarantine, never a traceback, never a silent skip."""
