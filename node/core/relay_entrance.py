"""The way into a relay: the bytes of an HTTP request and of a ClientInfo, and what is answered.

Both are read out of the connection's buffer when they are there whole, and not before.
"""

from __future__ import annotations

from node.core import http_upgrade
from node.core.http_upgrade import BadRequest, Request
from node.core.relay_link import FrameMessages, Link, Output, Send
from node.keys import NodePrivate, NodePublic
from node.wire import derp, derp_framing, derp_login
from node.wire.derp_framing import HEADER, HEADER_SIZE
from node.wire.malformed import Malformed

_BLANK = b"\r\n\r\n"


def read_request(buffer: bytearray, end: int) -> tuple[Request, int] | None:
    """The request and where it ends; None while it may still come. Raises BadRequest."""
    blank = buffer.find(_BLANK, 0, end)
    if blank < 0 and end < http_upgrade.MAX_REQUEST:
        return None
    if blank < 0 or blank > http_upgrade.MAX_REQUEST:
        raise BadRequest(431)
    return http_upgrade.parse_request(bytes(buffer[:blank])), blank + len(_BLANK)


def greet(link: Link, request: Request, more: int, key: NodePublic) -> list[Output]:
    """`more`: bytes behind the request, of a client that knows our key and did not wait."""
    server_key = derp.ServerKey(key).pack()
    if request.wants_websocket:
        if more:  # RFC 6455 §4.1: here it must
            raise BadRequest(400)
        answer = http_upgrade.switching_to_websocket(request)
        return [Send(link, answer), FrameMessages(link), Send(link, server_key)]
    if request.fast_start:
        return [Send(link, server_key)]
    return [Send(link, http_upgrade.switching_protocols(key) + server_key)]


def read_client_info(
    buffer: bytearray, at: int, end: int, private: NodePrivate
) -> tuple[NodePublic, derp_login.ClientDetails, int] | None:
    """Who it is, proven, and where the frame ends. Raises Malformed."""
    if end - at < HEADER_SIZE:
        return None
    kind, length = HEADER.unpack_from(buffer, at)
    if kind != derp_framing.CLIENT_INFO or length > derp_framing.MAX_CLIENT_INFO:
        raise Malformed(f"login: frame {kind:02x} of {length} bytes instead of ClientInfo")
    stop = at + HEADER_SIZE + int(length)
    if stop > end:
        return None
    info = derp.ClientInfo.parse(bytes(buffer[at + HEADER_SIZE : stop]))
    box = derp_login.unseal(info.sealed, private, info.key)
    return info.key, derp_login.ClientDetails.parse(box), stop
