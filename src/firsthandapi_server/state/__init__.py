"""The state of the service: its objects, its books, and its files."""
