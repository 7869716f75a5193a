"""Masks columns between the source and staging: what a masked column becomes, and how its values are replaced."""
