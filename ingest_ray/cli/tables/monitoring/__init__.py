"""Tables of what is monitored."""
