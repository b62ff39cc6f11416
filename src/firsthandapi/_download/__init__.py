"""Downloading files: a blocking engine, the same one for both clients.

- `engine`: threads, a queue, cancelling.
- `transfer`: one file; attempts, resuming, checks. Every decision is made in `_core/files/download.py`.
- `exchange`: requests and responses over kept connections.
- `network`: connections; it knows every open socket, so that a cancelled run can close them.
- `storing`: a second thread for a large file.
- `part`: an unfinished file on disk.
- `single`: one file in the caller's thread.
"""
