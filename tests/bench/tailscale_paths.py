"""One JSON line each time a Tailscale client's path becomes direct, or is no longer.

python -m tests.bench.tailscale_paths SOCKET
"""

from __future__ import annotations

import json
import socket
import sys
import time
from http.client import HTTPConnection

LOOK = 0.05  # seconds
LASTING = 60.0  # seconds: more than a round; then who waits for us hears of it


class Local(HTTPConnection):
    def __init__(self, path: str) -> None:
        super().__init__("local-tailscaled.sock")
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.connect(self._path)


def main() -> None:
    client = Local(sys.argv[1])
    before: bool | None = None
    until = time.monotonic() + LASTING
    while time.monotonic() < until:
        client.request("GET", "/localapi/v0/status")
        answer = json.loads(client.getresponse().read())
        is_direct = any(peer["CurAddr"] for peer in (answer["Peer"] or {}).values())
        if is_direct != before:
            print(json.dumps({"at": time.monotonic(), "direct": is_direct}), flush=True)
        before = is_direct
        time.sleep(LOOK)


if __name__ == "__main__":
    main()
