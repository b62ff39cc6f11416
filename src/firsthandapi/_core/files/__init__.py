"""A file: its name, kind, labels, and download."""
