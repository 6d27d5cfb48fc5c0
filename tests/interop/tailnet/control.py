"""A control plane for a handful of Tailscale clients in a lab: no accounts, no disk, everybody may come in.

    python -m tests.interop.tailnet.control --derp-map FILE --address A ... --member JSON ...

Clients get the addresses in the order in which they come; `--home ADDRESS=REGION` names the home of one.
Members are nodes that are none of Tailscale's, each as a tailcfg.Node. Each time a client tells of itself,
one JSON line says who it is and where it can be found.

What it speaks is ts2021: HTTP/2 in Noise in an upgraded HTTP connection.
"""

from __future__ import annotations

import argparse
import base64
import json
import os
from contextlib import suppress
from functools import partial
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from io import BufferedIOBase
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.events import DataReceived, RequestReceived, StreamEnded
from h2.exceptions import ProtocolError
from nacl.bindings import crypto_scalarmult_base

from tests.interop.tailnet.members import Json, Tailnet
from tests.interop.tailnet.noise import Records, answer

PORT = 8080
MOST = 128 * 1024  # bytes of a block of zstd, at most


class Door(BaseHTTPRequestHandler):
    """HTTP as it begins: our public key for whoever asks, and the way into the noise."""

    protocol_version = "HTTP/1.1"
    tailnet: Tailnet
    private: bytes

    def do_GET(self) -> None:
        public = f"mkey:{crypto_scalarmult_base(self.private).hex()}"
        body = json.dumps({"publicKey": public, "legacyPublicKey": public}).encode()
        is_known = urlsplit(self.path).path == "/key"
        self.send_response(HTTPStatus.OK if is_known else HTTPStatus.NOT_FOUND)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_POST(self) -> None:
        initiation = base64.b64decode(self.headers["X-Tailscale-Handshake"])
        response, records, machine = answer(self.private, initiation)
        self.send_response_only(HTTPStatus.SWITCHING_PROTOCOLS)
        self.send_header("Upgrade", self.headers["Upgrade"])
        self.send_header("Connection", "upgrade")
        self.end_headers()
        self.wfile.write(response)
        self.close_connection = True
        Session(self.tailnet, machine, records, self.wfile).serve(self.rfile)

    def log_message(self, format: str, *args: Any) -> None:
        """Only errors are worth a line."""


class Session:
    """HTTP/2 with one client."""

    def __init__(
        self, tailnet: Tailnet, machine: bytes, records: Records, out: BufferedIOBase
    ) -> None:
        self._tailnet, self._machine, self._records, self._out = tailnet, machine, records, out
        self._http = H2Connection(H2Configuration(client_side=False))
        self._requests: dict[int, tuple[bytes, bytearray]] = {}
        self._guard = tailnet.guard  # maps are sent from other sessions' threads, too

    def serve(self, stream: BufferedIOBase) -> None:
        with self._guard:
            self._http.initiate_connection()
            self._flush()
        while data := self._records.read(stream):
            with self._guard:
                for event in self._http.receive_data(data):
                    self._take(event)
                self._flush()

    def _take(self, event: object) -> None:
        match event:
            case RequestReceived():
                path = dict(event.headers)[b":path"]
                self._requests[event.stream_id] = path, bytearray()
            case DataReceived():
                self._requests[event.stream_id][1].extend(event.data)
                size = event.flow_controlled_length
                self._http.acknowledge_received_data(size, event.stream_id)
            case StreamEnded():
                path, body = self._requests.pop(event.stream_id)
                self._answer(event.stream_id, path, json.loads(body or b"{}"))

    def _answer(self, stream: int, path: bytes, request: Json) -> None:
        self._http.send_headers(stream, [(":status", "200")])
        if path == b"/machine/register":
            registered = self._tailnet.register(request, self._machine)
            self._http.send_data(stream, json.dumps(registered).encode(), end_stream=True)
        elif path == b"/machine/map":
            self._map(stream, request)
        else:  # how healthy it is and the like: taken, not read
            self._http.end_stream(stream)

    def _map(self, stream: int, request: Json) -> None:
        key = request["NodeKey"]
        if not request.get("ReadOnly"):
            self._tailnet.note(request)
        if not request.get("Stream"):
            self._http.end_stream(stream)
            return
        push = partial(self._push, stream, key)
        self._tailnet.watch(key, push)
        push()

    def _push(self, stream: int, key: str) -> None:
        packed = zstd(json.dumps(self._tailnet.map_for(key)).encode())
        message = len(packed).to_bytes(4, "little") + packed
        step = self._http.max_outbound_frame_size
        # It may have gone, or asked anew: that is not the fault of the one whose news this is.
        with suppress(ProtocolError, OSError):
            for at in range(0, len(message), step):
                self._http.send_data(stream, message[at : at + step])
            self._flush()

    def _flush(self) -> None:
        for record in self._records.seal(self._http.data_to_send()):
            self._out.write(record)


def zstd(data: bytes) -> bytes:
    """A frame of one block that says it as it is (RFC 8878, sections 3.1.1 and 3.1.1.2)."""
    assert len(data) <= MOST, "this is for a handful of clients"
    head = b"\x28\xb5\x2f\xfd\xa0" + len(data).to_bytes(4, "little")
    return head + (len(data) << 3 | 1).to_bytes(3, "little") + data


def home(text: str) -> tuple[str, int]:
    address, _, region = text.partition("=")
    return address, int(region)


def told(client: Json) -> None:
    print(json.dumps(client), flush=True)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--derp-map", type=Path, required=True)
    parser.add_argument("--address", action="append", required=True)
    parser.add_argument("--member", action="append", type=json.loads, default=[])
    parser.add_argument("--home", action="append", type=home, default=[])
    words = parser.parse_args()
    relays, homes = json.loads(words.derp_map.read_text()), dict(words.home)
    Door.tailnet = Tailnet(relays, words.address, words.member, homes, told)
    Door.private = os.urandom(32)
    server = ThreadingHTTPServer(("", PORT), Door)
    print(json.dumps({"ready": PORT}), flush=True)
    server.serve_forever()


if __name__ == "__main__":
    main()
