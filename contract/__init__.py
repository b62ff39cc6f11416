"""The wire contract as a program: each test is a promise, which a server keeps or not.

`python -m pytest contract --url URL` tries them on any server; docs/guides/build-a-server.md says how.
"""
