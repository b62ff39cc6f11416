"""Downloading files: a blocking engine, the same one for both clients.

- `engine`: threads, a queue, cancelling.
- `transfer`: one file; attempts, resuming, checks. Every decision is made in `_core/files/download.py`.
- `exchange`: requests and responses over kept connections.
- `network`: sockets that are known, so that a run can be ended.
- `storing`: a second thread for a large file.
- `part`: the file on disk.
- `single`: one file in the caller's thread.
"""
