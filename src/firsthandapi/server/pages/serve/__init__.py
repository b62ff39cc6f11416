"""A server of one's own: the service in real time, for a team's own people.

`Site` is the whole of it as an ASGI application: the API, the workers' pages, the reviewers', and the operators'.
`firsthandapi serve` runs it. Import from there: the names of this package may change in any release.
"""
