"""The service's pages: the console, and the pages of your own server."""
