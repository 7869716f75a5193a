"""What concerns one operating-system process: fail points, stop signals, the exit notice."""
