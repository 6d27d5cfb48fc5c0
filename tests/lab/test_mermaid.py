"""A topology drawn as a mermaid flowchart."""

from lab.model.topology import load, loads
from lab.view.diagrams.mermaid import mermaid


def test_the_reference_picture() -> None:
    assert (
        mermaid(load("nat-pair", {"title": "Two homes"}))
        == """\
---
title: "Two homes"
---
flowchart TD
    m0(("internet"))
    m1[("nyc<br/>nyc.derp.example")]
    m2{{"home-a<br/>port-restricted-cone"}}
    m3{{"home-b<br/>port-restricted-cone"}}
    m4["node-a<br/>100.64.1.10"]
    m5["node-b<br/>100.64.2.20"]
    m0 --- m1
    m0 --- m2
    m0 --- m3
    m2 --- m4
    m3 --- m5
"""
    )


def test_a_link_says_what_is_bent_and_on_which_way() -> None:
    text = """
        [host.end]
        [link.end]
        delay = "20ms"
        jitter = "2ms"
        down.loss = "1.5%"
        up.rate = "20mbit"
        mtu = 1280
    """
    [edge] = [line for line in mermaid(loads(text, "x.toml")).splitlines() if "---|" in line]
    up = "up 20 ms, 2 ms jitter, 20 mbit"
    down = "down 20 ms, 2 ms jitter, 1.5 % loss"
    assert edge == f'    m0 ---|"{up}, {down}, mtu 1280"| m1'


def test_a_command_shows_what_it_runs_and_its_quotes_do_no_harm() -> None:
    text = '[host.web]\nruns = "command"\nargv = ["echo", \'a "b" #1\']\n'
    drawn = mermaid(loads(text, "x.toml"))
    assert '    m1["web<br/>echo a #quot;b#quot; #35;1"]' in drawn.splitlines()
