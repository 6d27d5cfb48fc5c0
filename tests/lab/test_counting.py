"""What routers count, as their tools print it and as the kernel has it."""

from __future__ import annotations

from lab.world.drops import from_nft, from_xtables

IPTABLES = """\
*filter
:INPUT ACCEPT [2:2680]
[9:741] -A INPUT -i wan0 -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT
[7:9380] -A INPUT -i wan0 -m comment --comment "nobody inside asked for it" -j DROP
[1:99] -A INPUT -j DROP
[5:40] -A FORWARD -o wan0 -m comment --comment "only TCP 443 goes out" -j REJECT
COMMIT
"""
NFT = """\
table ip punchlab {
	set live {
		type ipv4_addr . inet_service
	}

	chain input {
		type filter hook input priority filter; policy accept;
		iifname "wan0" ct state established,related accept
		iifname "wan0" counter packets 3 bytes 300 drop comment "nobody inside asked for it"
		drop
		udp dport 53 counter packets 2 bytes 80 drop
	}
}
table ip6 punchlab6 {
	chain forward {
		counter packets 0 bytes 0 drop comment "nobody inside asked for it"
	}
}
"""


def test_iptables_rules_are_counted_with_what_they_say_they_drop() -> None:
    assert list(from_xtables(IPTABLES)) == [
        {
            "words": "nobody inside asked for it",
            "packets": 7,
            "rule": "iptables: -A INPUT -i wan0 -j DROP",
        },
        {
            "words": "by a rule that is not the lab's",
            "packets": 1,
            "rule": "iptables: -A INPUT -j DROP",
        },
        {
            "words": "only TCP 443 goes out",
            "packets": 5,
            "rule": "iptables: -A FORWARD -o wan0 -j REJECT",
        },
    ]


def test_nftables_rules_are_named_by_their_chains() -> None:
    assert [(each["rule"], each["packets"]) for each in from_nft(NFT)] == [
        ('nftables: chain input: iifname "wan0" drop', 3),
        ("nftables: chain input: udp dport 53 drop", 2),
        ("nftables: chain forward: drop", 0),
    ]
