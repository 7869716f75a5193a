"""How connections to databases are made, for sources and sinks.

logins          a new password for each connection
password_file   how libpq gets a password that is in no connection string
tunnel          SSH tunnels, shared by the connections of a process
ssh             one tunnel: a process of the system's SSH client
"""
