"""Fetching files: a blocking engine, the same one for both clients."""
