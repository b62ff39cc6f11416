"""The service itself: its rules, its state, and its HTTP side. It knows nothing of tests and simulated workers.

`firsthandapi.testing` puts it on a loopback port with virtual time, simulated workers, and faults. Import from there:
the names of this package may change in any release.
"""
