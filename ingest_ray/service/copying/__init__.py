"""`copy`: makes a project of two addresses, without a configuration file."""
