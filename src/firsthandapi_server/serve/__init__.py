"""Your own server: the service in real time, for a team's own people.

`Site` is the ASGI application: the API, and the pages of workers, reviewers, and operators. `firsthandapi serve` runs
it. Import `Service` from there: the names of this package may change in any release.
"""
