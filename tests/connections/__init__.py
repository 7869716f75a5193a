"""Logins that are made for each connection, and SSH tunnels."""
