"""A port that the router mapped to ours, among the places where peers are told to find us."""

from __future__ import annotations

from node.core.actions import Event
from node.core.surroundings import EndpointsChanged, News, Surroundings
from node.wire.endpoint import Endpoint
from tests.node.two_ends import counter_as_dice

LOCAL = Endpoint("192.168.1.10", 41641)
SEEN = Endpoint("44.12.0.10", 33214)
MAPPED = Endpoint("44.12.0.10", 41641)


def test_it_comes_first_and_is_news() -> None:
    ours = at_home()
    assert changes(ours.set_mapped(MAPPED, 11.0)) == [
        EndpointsChanged((MAPPED, SEEN, LOCAL), news=True)
    ]


def test_the_same_again_is_no_news() -> None:
    ours = at_home()
    ours.set_mapped(MAPPED, 11.0)
    assert ours.set_mapped(MAPPED, 12.0) == []


def test_a_lost_one_is_withdrawn_and_nobody_is_called() -> None:
    ours = at_home()
    ours.set_mapped(MAPPED, 11.0)
    lost = ours.set_mapped(None, 12.0)
    assert changes(lost) == [EndpointsChanged((SEEN, LOCAL), news=False)]
    assert Event("endpoints", {"endpoints": [str(SEEN), str(LOCAL)]}) in lost


def test_it_stays_when_what_was_learned_is_forgotten() -> None:
    """It is the router's word, and the router is asked again when a link changes."""
    ours = at_home()
    ours.set_mapped(MAPPED, 11.0)
    ours.link_changed(12.0)
    assert ours.endpoints(12.0) == [MAPPED, LOCAL]


# --- what the tests are made of ---


def at_home() -> Surroundings:
    surroundings = Surroundings(counter_as_dice(1))
    surroundings.set_local([LOCAL], 10.0)
    surroundings.seen_at(SEEN, 10.0)
    return surroundings


def changes(news: list[News]) -> list[News]:
    return [each for each in news if isinstance(each, EndpointsChanged)]
