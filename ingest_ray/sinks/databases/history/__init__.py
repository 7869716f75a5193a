"""Histories in tables of databases."""
