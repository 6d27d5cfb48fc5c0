"""An HTTP proxy that knows CONNECT, as small as can be: a thread a connection, until it is killed.

    python connect_proxy.py PORT [USER:PASSWORD]

Each request line goes to stdout. It answers byte by byte, as a slow one may.
"""

from __future__ import annotations

import base64
import socket
import sys
from threading import Thread


def carry(source: socket.socket, sink: socket.socket) -> None:
    try:
        while data := source.recv(65536):
            sink.sendall(data)
        sink.shutdown(socket.SHUT_WR)
    except OSError:
        sink.close()


def serve(client: socket.socket, credentials: str | None) -> None:
    head = b""
    while b"\r\n\r\n" not in head:
        data = client.recv(4096)
        if not data:  # it was a look whether anybody is there
            client.close()
            return
        head += data
    line, *fields = head.decode().split("\r\n")
    print(line, flush=True)
    secret = base64.b64encode((credentials or "").encode()).decode()
    if credentials is not None and f"Proxy-Authorization: Basic {secret}" not in fields:
        client.sendall(b"HTTP/1.1 407 Proxy Authentication Required\r\n\r\n")
        client.close()
        return
    host, _, port = line.split()[1].rpartition(":")
    try:
        server = socket.create_connection((host, int(port)), 10)
    except OSError:
        client.sendall(b"HTTP/1.1 502 Bad Gateway\r\n\r\n")
        client.close()
        return
    for byte in b"HTTP/1.1 200 Connection established\r\nVia: 1.1 small\r\n\r\n":
        client.sendall(bytes([byte]))
    Thread(target=carry, args=(server, client), daemon=True).start()
    carry(client, server)


def run(listener: socket.socket, credentials: str | None = None) -> None:
    while True:
        try:
            client, _ = listener.accept()
        except OSError:
            return
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        Thread(target=serve, args=(client, credentials), daemon=True).start()


if __name__ == "__main__":
    with socket.create_server(("", int(sys.argv[1]))) as listener:
        print("ready", flush=True)
        run(listener, *sys.argv[2:])
