"""A small hole puncher: two of them meet at a known place, and then talk to each other without it.

    python handshaker.py meet PORT
    python handshaker.py punch ME OTHER --stun HOST:PORT --meet HOST:PORT

Who punches asks a STUN server where it is seen from, tells that at the meeting place, is told the same of
the other one, and says hello there until the other answers. What it finds it prints, one JSON object a line.
"""

import argparse
import json
import os
import socket
import sys
import time

INTERVAL = 0.1  # seconds between two tries
BINDING_REQUEST, BINDING_RESPONSE = 0x0001, 0x0101
COOKIE = 0x2112A442
XOR_MAPPED_ADDRESS = 0x0020

Address = tuple[str, int]


def meet(port: int) -> None:
    """`ME OTHER ADDRESS` is answered by the address that OTHER told, as soon as it has."""
    sock = listening(port)
    told: dict[str, str] = {}
    say("ready")
    while True:
        words, source = sock.recvfrom(2000)
        me, other, address = words.decode().split()
        told[me] = address
        if other in told:
            sock.sendto(f"{other} {told[other]}".encode(), source)


def punch(me: str, other: str, stun: Address, place: Address) -> None:
    sock = listening(0)
    mine = ask(sock, stun, stun_request, stun_answer)
    say("endpoints", endpoints=[mine])
    theirs = ask(
        sock,
        place,
        lambda: f"{me} {other} {mine}".encode(),
        lambda answer: answer.decode().removeprefix(f"{other} "),
    )
    greet(sock, other, parse_address(theirs))


def greet(sock: socket.socket, other: str, there: Address) -> None:
    """Hello until the end; what comes back from there is the proof that there is a way."""
    count = 0
    while True:
        sock.sendto(b"hello", there)
        answer = receive(sock, there, INTERVAL)
        if answer == b"hello":
            sock.sendto(b"hello to you", there)
        elif answer == b"hello to you":
            count += 1
            if count == 1:
                say("path", peer=other, kind="direct", via="{}:{}".format(*there))
            say("greeted", peer=other, count=count)
            time.sleep(INTERVAL)


def ask(sock, there, question, answer_in) -> str:  # type: ignore[no-untyped-def]
    while True:
        sock.sendto(question(), there)
        answer = receive(sock, there, INTERVAL)
        if answer is not None:
            return str(answer_in(answer))


def receive(sock: socket.socket, source: Address, within: float) -> bytes | None:
    sock.settimeout(within)
    try:
        words, seen = sock.recvfrom(2000)
    except TimeoutError:
        return None
    return words if seen == source else None


def stun_request() -> bytes:
    """RFC 8489 §5: a header is all that it takes."""
    words = (BINDING_REQUEST, 0, COOKIE)
    sizes = (2, 2, 4)
    header = b"".join(word.to_bytes(size) for word, size in zip(words, sizes, strict=True))
    return header + os.urandom(12)


def stun_answer(answer: bytes) -> str:
    """RFC 8489 §14.2: the first attribute of the answer is XOR-MAPPED-ADDRESS, of IPv4."""
    kinds = int.from_bytes(answer[:2]), int.from_bytes(answer[20:22])
    if kinds != (BINDING_RESPONSE, XOR_MAPPED_ADDRESS):
        sys.exit(f"no STUN server: {answer.hex()}")
    port = int.from_bytes(answer[26:28]) ^ COOKIE >> 16
    address = int.from_bytes(answer[28:32]) ^ COOKIE
    return f"{socket.inet_ntoa(address.to_bytes(4))}:{port}"


def listening(port: int) -> socket.socket:
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.bind(("0.0.0.0", port))
    return sock


def parse_address(text: str) -> Address:
    host, _, port = text.rpartition(":")
    return socket.gethostbyname(host), int(port)


def say(event: str, **fields: object) -> None:
    print(json.dumps({"event": event, **fields}), flush=True)


def main() -> None:
    parser = argparse.ArgumentParser()
    roles = parser.add_subparsers(dest="role", required=True)
    meeting = roles.add_parser("meet")
    meeting.add_argument("port", type=int)
    punching = roles.add_parser("punch")
    punching.add_argument("me")
    punching.add_argument("other")
    punching.add_argument("--stun", type=parse_address, required=True)
    punching.add_argument("--meet", type=parse_address, required=True)
    args = parser.parse_args()
    if args.role == "meet":
        meet(args.port)
    else:
        punch(args.me, args.other, args.stun, args.meet)


if __name__ == "__main__":
    main()
