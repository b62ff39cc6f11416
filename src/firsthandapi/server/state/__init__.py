"""What the service knows: its objects, its books, and where files are."""
