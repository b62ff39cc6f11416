"""The rules of the service: jobs, money, events, and accounts."""
