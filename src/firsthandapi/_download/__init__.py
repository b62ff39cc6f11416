"""Fetching files: a blocking engine, the same one for both clients.

- `engine`: threads, a queue, cancelling.
- `fetch`: one file; attempts, resuming, checks. Every decision is made in `_core/download.py`.
- `exchange`: requests and responses over kept connections.
- `head`: the head of a response.
- `network`: addresses, proxies, TLS.
- `beside`: a second thread for a large file.
- `place`: the file on disk.
- `single`: one file in the caller's thread.
"""
