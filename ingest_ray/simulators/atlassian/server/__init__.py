"""The HTTP side of a simulated site: logins, rate limits, traps, routing, control endpoints."""
