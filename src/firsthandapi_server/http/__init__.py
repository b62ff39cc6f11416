"""How the service is spoken to: requests, handlers, responses, and deliveries."""
