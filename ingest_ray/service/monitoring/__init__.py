"""What people and programs are told about units: freshness, metrics, incidents, notifications."""
