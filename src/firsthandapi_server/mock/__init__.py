"""The service for tests: virtual time, workers that draw what they photograph, faults, and `/_control`."""
