"""The wire contract, written once: words, bodies, responses, and one table of operations.

The routes of the server, its validation, the OpenAPI document, and the promises of `contract/` derive from it.
It knows no rule and no state.
"""
