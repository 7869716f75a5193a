"""What crosses the control plane: small JSON documents of ids, handles and statistics, and the guard that keeps them so."""
