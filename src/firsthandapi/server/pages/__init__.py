"""Its pages: the console, and those of a server of one's own."""
