"""Fetching files: a blocking engine, the same one for both clients.

engine.py     threads, a queue, cancelling
fetch.py      one file: attempts, resuming, checks; every decision is made in `_core/download.py`
exchange.py   requests and responses over kept connections
head.py       the head of a response
network.py    addresses, proxies, TLS
digest.py     SHA-256
place.py      the file on disk
single.py     one file in the caller's thread
"""
