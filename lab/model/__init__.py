"""What a lab is: pure values. No sockets, no netlink, no clock."""
