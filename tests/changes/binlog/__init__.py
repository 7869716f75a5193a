"""The binary log: what it has from servers that are not here, from administrators, and under TLS."""
