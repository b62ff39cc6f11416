"""The service itself: its contract, rules, state, media, HTTP side, and pages. `firsthandapi serve` runs it for people.

`firsthandapi.testing` puts it on a loopback port with virtual time, simulated workers, and faults: import from there,
since the names of this package may change in any release. Of the SDK it knows only what both need.
"""
