"""Simulated source systems that serve real protocols on a loopback port."""
