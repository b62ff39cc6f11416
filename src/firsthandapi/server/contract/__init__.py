"""The wire contract, written once: words, bodies, responses, and one table of operations.

From it follow the routes of the server, its validation, the OpenAPI document, and what `conformance` holds servers to.
It knows no rule and no state.
"""
