"""What the service decides: jobs, money, events, and accounts."""
