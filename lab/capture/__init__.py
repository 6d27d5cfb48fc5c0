"""Captures: everything that passes any interface of a lab, in one pcapng on one clock.

ring            packets out of the kernel, one ring a machine
superpackets    what left as one, apart again
keylogs         the daemons' keys, and what they said of their handshakes
repeats         handshakes that no capture sees, repeated so that Wireshark can open what follows
eventlog        the lab's events, as packets among the others
recorder        the loop around them
pcapng reading  the file format: out, and in
"""
