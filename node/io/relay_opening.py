"""From a relay's entry in the map to a TLS connection with it: name, TCP, perhaps a proxy, TLS, trust.

Calls back once, from the loop: with the socket, or with a line about what went wrong and whether to
try again makes sense.
"""

from __future__ import annotations

import socket
import ssl
from collections.abc import Callable
from typing import TYPE_CHECKING

from node.io import tls_client
from node.io.dial import Dial
from node.io.loop import READ, WRITE, Loop
from node.io.resolve import resolve
from node.netmap import DerpNode

if TYPE_CHECKING:
    from node.core.http_connect import Proxy

OnOpen = Callable[[ssl.SSLSocket], None]
OnFailed = Callable[[str, bool], None]  # why, and whether to retry


class RelayOpening:
    def __init__(
        self, loop: Loop, relay: DerpNode, ca_file: str | None, proxy: Proxy | None,
        on_open: OnOpen, on_failed: OnFailed,
    ) -> None:  # fmt: skip
        self._loop, self._relay, self._ca_file, self._proxy = loop, relay, ca_file, proxy
        self._on_open, self._on_failed = on_open, on_failed
        self._under_way: Dial | None = None
        self._sock: socket.socket | None = None  # from TCP's yes to TLS's
        self._done = False
        loop.soon(self._resolve)

    def cancel(self) -> None:
        """Nobody is called back."""
        self._done = True
        if self._under_way is not None:
            self._under_way.cancel()
        if self._sock is not None:
            self._loop.forget(self._sock.fileno())
            self._sock.close()

    def _fail(self, why: str, retry: bool = True) -> None:
        if not self._done:
            self.cancel()
            self._on_failed(why, retry)

    # --- TCP ---

    def _resolve(self) -> None:
        if self._done:
            return
        relay = self._relay
        known = [a for a in (relay.ipv4, relay.ipv6) if a is not None and a != "none"]
        if self._proxy is not None:
            resolve(self._loop, self._proxy.host, self._proxy_resolved)
        elif known:
            self._dial(known, relay.derp_port)
        else:
            resolve(self._loop, relay.host_name, self._resolved)

    def _resolved(self, addresses: list[str]) -> None:
        families = {False: self._relay.ipv4, True: self._relay.ipv6}
        usable = [a for a in addresses if families[":" in a] != "none"]
        if not usable:
            self._fail("its name has no address here: neither hosts file nor DNS knows it")
        elif not self._done:
            self._dial(usable, self._relay.derp_port)

    def _proxy_resolved(self, addresses: list[str]) -> None:
        assert self._proxy is not None
        if not addresses:
            self._fail(f"the proxy {self._proxy}: its name has no address here")
        elif not self._done:
            self._dial(addresses, self._proxy.port)

    def _dial(self, addresses: list[str], port: int) -> None:
        self._under_way = Dial(self._loop, addresses, port, self._connected, self._not_connected)

    def _not_connected(self, why: str) -> None:
        self._fail(why if self._proxy is None else f"the proxy {self._proxy}: {why}")

    def _connected(self, tcp: socket.socket) -> None:
        self._under_way, self._sock = None, tcp
        if self._proxy is None:
            self._wrap(tcp)
            return
        from node.io.tunnel_out import TunnelOut  # late: few have a proxy

        host, port = self._relay.host_name, self._relay.derp_port
        TunnelOut(self._loop, tcp, self._proxy, host, port, self._wrap, self._fail)

    # --- TLS ---

    def _wrap(self, tcp: socket.socket) -> None:
        try:
            context = tls_client.context_for(self._relay, self._ca_file)
        except OSError as error:
            why = f"the CA file {self._ca_file} cannot be used: {error.strerror or error}"
            self._fail(why, retry=False)
            return
        name = tls_client.expected_name(self._relay)
        try:
            tls = context.wrap_socket(tcp, server_hostname=name, do_handshake_on_connect=False)
        except (OSError, ValueError) as error:  # gone already, or no name at all
            self._fail(f"it hung up before the TLS handshake ({error})")
            return
        self._sock = tls
        self._handshake(tls)

    def _handshake(self, tls: ssl.SSLSocket) -> None:
        try:
            tls.do_handshake()
            if tls_client.is_pinned(self._relay):
                tls_client.check_pin(tls, self._relay)
        except ssl.SSLWantReadError:
            self._loop.watch(tls.fileno(), READ, lambda _events: self._handshake(tls))
        except ssl.SSLWantWriteError:
            self._loop.watch(tls.fileno(), WRITE, lambda _events: self._handshake(tls))
        except tls_client.Untrusted as problem:
            self._fail(str(problem), retry=False)
        except ssl.SSLError as error:
            wrong = isinstance(error, ssl.SSLCertVerificationError)
            self._fail(tls_client.explain(error, self._relay, self._ca_file), retry=not wrong)
        except OSError as error:
            self._fail(f"it hung up during the TLS handshake ({error.strerror or error})")
        else:
            self._done, self._sock = True, None
            self._on_open(tls)
