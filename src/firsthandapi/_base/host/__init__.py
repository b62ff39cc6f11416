"""What differs from system to system: replacing files, locking them, and the names of this machine."""
