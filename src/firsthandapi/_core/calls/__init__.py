"""A call: its arguments, request, attempts, retries, and response."""
