"""Downloading files: one blocking engine for both clients. `_core/files/download.py` makes every decision."""
