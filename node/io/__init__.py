"""The only place with sockets, a clock and dice."""
