"""A file server as far away as a real one: 30 ms to the first byte, 40 MB/s a connection. Args: port, directory.

A thread a connection, and `sendfile`: the pauses are what takes time, not the server.
"""

from __future__ import annotations

import os
import socket
import sys
import threading
import time
from pathlib import Path

DELAY = 0.03
RATE = 40_000_000
PIECE = 128 * 1024


def talk(sock: socket.socket, directory: Path) -> None:
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    received = b""
    while True:
        while b"\r\n\r\n" not in received:
            data = sock.recv(65536)
            if not data:
                sock.close()
                return
            received += data
        request, _, received = received.partition(b"\r\n\r\n")
        name = request.split(b" ", 2)[1].decode().lstrip("/")
        with (directory / name).open("rb") as file:
            size = os.fstat(file.fileno()).st_size
            time.sleep(DELAY)
            started = time.perf_counter()
            sock.sendall(f"HTTP/1.1 200 OK\r\nContent-Length: {size}\r\n\r\n".encode())
            sent = 0
            while sent < size:
                sent += os.sendfile(sock.fileno(), file.fileno(), sent, min(PIECE, size - sent))
                ahead = started + sent / RATE - time.perf_counter()
                if ahead > 0:
                    time.sleep(ahead)


def main() -> None:
    directory = Path(sys.argv[2])
    with socket.create_server(("127.0.0.1", int(sys.argv[1])), backlog=256) as listener:
        while True:
            sock, _ = listener.accept()
            threading.Thread(target=talk, args=(sock, directory), daemon=True).start()


if __name__ == "__main__":
    main()
