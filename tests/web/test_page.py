"""The page in a real browser: the path moves, is broken and heals, and everybody can read and use it."""

from __future__ import annotations

import re
from base64 import b64encode

import pytest
from playwright.sync_api import Locator, expect

from tests.web.conftest import PATIENCE, OpenPage
from tests.web.running import Demo

pytestmark = [pytest.mark.needs_lab, pytest.mark.xdist_group("page")]
expect.set_options(timeout=PATIENCE)

PHONE, DESK = (390, 844), (1360, 900)


def test_it_saw_the_path_go_from_relay_to_direct(open_page: OpenPage) -> None:
    page = open_page()
    expect(page.locator("#now")).to_have_attribute("data-kind", "direct")
    expect(page.locator("#now")).to_contain_text("direct via 203.0.113.20:41641")
    newest_first = page.locator("#moves li")
    kinds = [each.get_attribute("data-kind") for each in newest_first.all()]
    assert kinds[-2:] == ["direct", "relay"]
    expect(page.locator("#sentences")).to_contain_text("packets from node-a to node-b go through")
    expect(page.locator("#sentences")).to_contain_text("moved to direct via 203.0.113.20:41641")
    page.get_by_label("From and to").select_option(label="node-b → node-a")
    expect(page.locator("#now")).to_contain_text("direct via 203.0.113.10:41641")


def test_cutting_the_direct_way_makes_it_fall_back_and_restoring_it_return(
    open_page: OpenPage,
) -> None:
    page = open_page()
    lanes = page.locator("#drawing .lanes .lane")
    expect(page.locator('.lane.double[data-lane="home-a direct"]')).to_have_count(1)
    expect(page.locator('.lane.double[data-lane="home-a home-b direct"]')).to_have_count(1)

    page.get_by_role("button", name="Cut direct").click()
    expect(page.locator("#now")).to_have_text("through the relay via nyc")
    expect(page.locator('.lane.solid[data-lane="nyc relay"]')).to_have_count(1)
    expect(page.locator('.lane.dashed[data-lane="home-a direct"]')).to_have_count(1)
    expect(page.locator("#drawing .lane.double")).to_have_count(0)
    expect(page.locator("#broken")).to_contain_text(
        "the direct way between node-a and node-b is cut"
    )
    expect(page.locator("#sentences")).to_contain_text("node-a fell back to nyc for node-b")

    page.get_by_role("button", name="Restore direct").click()
    expect(page.locator("#now")).to_contain_text("direct via 203.0.113.20:41641")
    expect(page.locator('.lane.double[data-lane="home-a direct"]')).to_have_count(1)
    expect(page.locator("#broken")).to_be_hidden()
    expect(lanes.nth(4)).to_be_attached()


def test_the_past_is_redrawn_while_the_present_goes_on(open_page: OpenPage) -> None:
    page = open_page()
    relayed = page.locator('.lane.solid[data-lane="nyc relay"]')
    page.get_by_role("button", name="Cut direct").click()
    expect(relayed).to_have_count(1)
    page.get_by_role("button", name="Restore direct").click()
    expect(page.locator("#now")).to_have_attribute("data-kind", "direct")

    page.get_by_role("button", name="Pause").click()
    slider = page.get_by_role("slider")
    slider.focus()
    while page.locator("#broken").is_hidden():
        slider.press("ArrowLeft")
    while not relayed.count():
        slider.press("ArrowRight")
    expect(page.locator("#now")).to_have_attribute("data-kind", "relay")
    expect(page.locator("#broken")).to_contain_text(
        "the direct way between node-a and node-b is cut"
    )
    expect(page.get_by_role("button", name="Live")).to_have_attribute("aria-pressed", "false")

    page.get_by_role("button", name="Live").click()
    expect(page.locator("#now")).to_have_attribute("data-kind", "direct")
    expect(page.locator("#broken")).to_be_hidden()


def test_packets_run_where_they_were_seen_and_stand_still_for_who_wants_no_motion(
    open_page: OpenPage,
) -> None:
    page = open_page()
    page.wait_for_function(DOT_ON, arg='.lane.double[data-lane="home-a direct"]')
    still = open_page(motion="reduce")
    expect(still.locator('.lane.double[data-lane="home-a direct"]')).to_have_count(1)
    assert still.evaluate(f"({PAINTED})()") == 0


def test_round_trips_are_drawn_and_counted(open_page: OpenPage) -> None:
    page = open_page()
    figures = re.compile(r"\d ms now\. \d+ lost of \d+\.$")
    expect(page.locator("#figures")).to_have_text(figures)
    expect(page.get_by_role("img", name="Round trips")).to_have_attribute("aria-label", figures)
    expect(page.locator(".trip")).to_have_attribute("d", re.compile("(L.*){4}"))


@pytest.mark.parametrize(
    ("group", "button", "broken", "mend"),
    [
        ("plug", "Unplug", "nyc is unplugged", "Plug in"),
        ("relay", "Stop relay", "the daemon of nyc is down", "Start relay"),
    ],
)
def test_what_is_broken_is_shown_until_it_is_mended(
    open_page: OpenPage, group: str, button: str, broken: str, mend: str
) -> None:
    page = open_page()
    form = page.locator(f'form[data-group="{group}"]')
    form.get_by_role("button", name=button).click()
    expect(page.locator("#broken")).to_contain_text(broken)
    form.get_by_role("button", name=mend).click()
    expect(page.locator("#broken")).to_be_hidden()


def test_a_bent_link_and_another_nat_are_drawn(open_page: OpenPage) -> None:
    page = open_page()
    form = page.locator('form[data-group="link"]')
    form.get_by_label("Link").select_option("home-b")
    form.get_by_label("Delay").fill("7")
    form.get_by_role("button", name="Bend link").click()
    expect(page.locator("#drawing")).to_contain_text("7 ms")
    form.get_by_label("Delay").fill("15")
    form.get_by_label("Loss").fill("0")
    form.get_by_role("button", name="Bend link").click()
    expect(page.locator("#drawing")).not_to_contain_text("7 ms")

    form = page.locator('form[data-group="nat"]')
    form.get_by_label("NAT profile").select_option("full-cone")
    form.get_by_role("button", name="Change NAT").click()
    expect(page.locator('[data-machine="home-a"]')).to_contain_text("full-cone")
    form.get_by_label("NAT profile").select_option("port-restricted-cone")
    form.get_by_role("button", name="Change NAT").click()
    expect(page.locator('[data-machine="home-a"]')).not_to_contain_text("full-cone")


def test_a_moved_host_is_drawn_at_its_new_router_and_moves_back(open_page: OpenPage) -> None:
    page = open_page()
    form = page.locator('form[data-group="move"]')
    wire = page.locator('.wire[data-wire="node-a"]')
    for router in ("home-b", "home-a"):
        form.get_by_label("Router to move to").select_option(router)
        form.get_by_role("button", name="Move host").click()
        expect(wire).to_have_attribute("data-upper", router)
    expect(page.locator("#now")).to_contain_text("direct via 203.0.113.20:41641")


def test_a_restarted_daemon_is_found_again(open_page: OpenPage) -> None:
    page = open_page()
    form = page.locator('form[data-group="daemon"]')
    form.get_by_label("Machine whose daemon").select_option("node-b")
    form.get_by_role("button", name="Restart").click()
    expect(page.locator("#said")).to_have_text("the daemon of node-b: restart, done")
    expect(page.locator("#now")).to_have_attribute("data-kind", "direct")


def test_what_is_seldom_pressed_lies_under_more(open_page: OpenPage) -> None:
    page = open_page()
    for group, more, fields, button, said in SELDOM:
        form = page.locator(f'form[data-group="{group}"]')
        if more:
            form.get_by_label(more).click()
        for name, value in fields.items():
            fill(form.get_by_label(name), value)
        if button == "Enter":  # means the button beside the field, not the form's first one
            form.get_by_label([*fields][-1]).press("Enter")
        else:
            form.get_by_role("button", name=button, exact=True).click()
        expect(page.locator("#said")).to_contain_text(re.compile(said, re.S))
    expect(page.locator("#now")).to_contain_text("direct via 203.0.113.20:41641")
    expect(page.locator("#broken")).to_be_hidden()


def test_the_keyboard_is_enough_and_shows_where_it_is(open_page: OpenPage) -> None:
    page = open_page()
    page.keyboard.press("Tab")
    expect(page.locator(".skip")).to_be_focused()
    page.keyboard.press("Enter")
    button = page.get_by_role("button", name="Send 3 pings")
    for _ in range(30):
        page.keyboard.press("Tab")
        if button.evaluate("button => button === document.activeElement"):
            break
    expect(button).to_be_focused()
    assert button.evaluate("button => getComputedStyle(button).outlineStyle") == "solid"
    page.keyboard.press("Enter")
    expect(page.locator("#said")).to_contain_text("pong from node-b (100.64.2.20)")


def test_every_control_has_a_name_and_news_are_read_out(open_page: OpenPage) -> None:
    page = open_page()
    nameless = page.locator("button, select, input").evaluate_all(
        "all => all.filter(one => !(one.ariaLabel || one.textContent.trim() && one.tagName === 'BUTTON'"
        " || one.labels?.length)).map(one => one.outerHTML)"
    )
    assert nameless == []
    expect(page.get_by_role("log")).to_have_attribute("aria-live", "polite")
    drawing = page.get_by_role("img", name="Two homes behind their own NATs")
    expect(drawing.locator("desc")).to_contain_text("home-a joins node-a.")


def test_two_look_on_and_one_may_only_look(open_page: OpenPage, demo: Demo) -> None:
    ours, theirs = open_page(), open_page(url=f"{demo.origin}/")
    expect(theirs.locator("#said")).to_contain_text("Only to look at")
    expect(theirs.get_by_role("button", name="Cut direct")).to_be_disabled()
    ours.get_by_role("button", name="Cut direct").click()
    for page in (ours, theirs):
        expect(page.locator("#now")).to_have_attribute("data-kind", "relay")
    ours.get_by_role("button", name="Restore direct").click()
    for page in (ours, theirs):
        expect(page.locator("#now")).to_have_attribute("data-kind", "direct")


@pytest.mark.parametrize("size", [PHONE, DESK], ids=["phone", "desk"])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_nothing_overlaps_or_runs_over_on_a_phone_and_on_a_desk(
    open_page: OpenPage, size: tuple[int, int], scheme: str
) -> None:
    page = open_page(*size, scheme=scheme)
    expect(page.locator("#now")).to_have_attribute("data-kind", "direct")
    expect(page.locator('.lane.double[data-lane="home-a direct"]')).to_have_count(1)
    assert page.evaluate("document.documentElement.scrollWidth") == size[0]
    expect(page.get_by_role("button", name="Cut direct")).to_be_in_viewport(ratio=1)
    seen = page.evaluate(SEEN, b64encode(page.screenshot()).decode())
    paper, line = {"light": ("f5f6f8", "1f7a3a"), "dark": ("0a0e12", "58c878")}[scheme]
    assert seen["size"] == list(size)
    assert seen["margin"] == {paper: 4 * size[1]}  # nothing runs out at the left
    assert seen["drawing"][line] > 200  # the double line is painted
    assert min(map(len, seen["sections"])) > 5  # colours: none of them is blank

    for _ in ("as it opens", "all there is"):
        assert page.evaluate(OVERLAPS, "section") == []
        assert page.evaluate(OVERLAPS, "form :is(h3, label, button, summary), .timeline > *") == []
        assert page.evaluate(CLIPPED) == []
        for more in page.locator("summary").all():
            more.click()
    expect(page.locator('.lane.double[data-lane="home-a direct"]')).to_have_count(1)
    assert page.evaluate(WORDS_UNDER_LINES) == []


# form, what to open, fields, button, what it did
SELDOM: list[tuple[str, str, dict[str, str], str, str]] = [
    (
        *("cut", "More ways to cut", {"only what": "yes", "answer TCP": "yes"}, "Cut direct"),
        "node-a -> node-b: TCP is reset",
    ),
    ("cut", "", {}, "Restore direct", "node-a -> node-b: passes again"),
    ("nat", "", {}, "Reboot router", r"home-a: .*in force: \d+ flows? forgotten"),
    (
        *("nat", "More about a NAT", {"New WAN address": "203.0.113.77"}, "Change address"),
        "home-a: wan: 203.0.113.10 -> 203.0.113.77",
    ),
    (
        *("nat", "", {"New WAN address": "203.0.113.10"}, "Enter"),
        "home-a: wan: 203.0.113.77 -> 203.0.113.10",
    ),
    (
        *("link", "More ways to bend", {"Link": "home-b", "Which way": "up", "Loss": ""}),
        *("Bend link", r"home-b: delay \d+ ms -> 20 ms \(up\)"),
    ),
    (
        *("link", "", {"Delay": "", "Jitter": "1", "Rate": "50"}, "Bend link"),
        r"it is now: delay 20 ms, jitter 1 ms, rate 50 Mbit/s \(up\)",
    ),
    (
        *("link", "", {"Which way": "both", "Jitter": "", "Rate": "", "MTU": "1400"}),
        *("Bend link", "jitter 1 ms, rate 50 Mbit/s.*; mtu 1400"),
    ),
    ("link", "", {"ICMP errors": "drop"}, "Bend link", "icmp pass -> drop"),
    ("link", "", {}, "Clean link", r"delay 20 ms -> 0 ms \(up\).*icmp drop -> pass"),
    (
        *("link", "", {"Delay": "15", "MTU": "1500", "ICMP errors": ""}, "Bend link"),
        r"it is now: delay 15 ms \(both ways\); mtu 1500",
    ),
    (
        *("daemon", "More about a daemon", {"Machine": "node-b"}, "Freeze"),
        "the daemon of node-b: freeze, done",
    ),
    ("daemon", "", {}, "Thaw", "the daemon of node-b: thaw, done"),
    ("daemon", "", {}, "Kill", "the daemon of node-b: kill, done"),
    ("daemon", "", {}, "Start", "the daemon of node-b: start, done"),
]


def fill(field: Locator, value: str) -> None:
    kind = field.evaluate("field => field.type")
    if kind == "checkbox":
        field.check()
    elif kind == "select-one":
        field.select_option(value)
    else:
        field.fill(value)


# What is painted on the layer above the drawing: the opaque pixels of a part of it, else of all.
PAINTED = """(x = 0, y = 0, width, height) => {
  const layer = document.querySelector('.dots');
  const [wide, high] = [width ?? layer.width, height ?? layer.height];
  const paper = new OffscreenCanvas(wide, high).getContext('2d', { willReadFrequently: true });
  paper.drawImage(layer, -x, -y);
  const bytes = paper.getImageData(0, 0, wide, high).data;
  return bytes.filter((value, n) => n % 4 === 3 && value === 255).length;
}"""

# Whether a dot is halfway along a lane.
DOT_ON = f"""selector => {{
  const lane = document.querySelector(selector);
  const middle = lane.getPointAtLength(lane.getTotalLength() / 2).matrixTransform(lane.getScreenCTM());
  const place = document.querySelector('.dots').getBoundingClientRect();
  return ({PAINTED})(Math.floor(middle.x - place.x), Math.floor(middle.y - place.y), 1, 1) === 1;
}}"""

OVERLAPS = """selector => {
  const all = [...document.querySelectorAll(selector)].filter(one => one.checkVisibility());
  const boxes = all.map(one => [one, one.getBoundingClientRect()]);
  return boxes.flatMap(([a, one], n) => boxes.slice(n + 1)
    .filter(([b, other]) => !a.contains(b) && !b.contains(a)
      && Math.min(one.right, other.right) - Math.max(one.left, other.left) > 1
      && Math.min(one.bottom, other.bottom) - Math.max(one.top, other.top) > 1)
    .map(([b]) => `${a.textContent.trim()} / ${b.textContent.trim()}`));
}"""

# What is said of a link, where a line beside that link touches it; a path's box is without its stroke.
WORDS_UNDER_LINES = """() => {
  const box = one => one.getBoundingClientRect();
  const stroke = 4;
  const lines = [...document.querySelectorAll('.lanes:not(.across) .lane')].map(box);
  return [...document.querySelectorAll('.words text')].filter(one => lines.some(line =>
    box(one).left < line.right + stroke && line.left - stroke < box(one).right
      && box(one).top < line.bottom + stroke && line.top - stroke < box(one).bottom))
    .map(one => one.textContent);
}"""

# The colours of parts of a screenshot, each with how many pixels have it; decoded by the browser itself.
SEEN = """async picture => {
  const bytes = Uint8Array.from(atob(picture), char => char.charCodeAt(0));
  const image = await createImageBitmap(new Blob([bytes]));
  const paper = new OffscreenCanvas(image.width, image.height).getContext('2d', { willReadFrequently: true });
  paper.drawImage(image, 0, 0);
  const colours = ({ x, y, width, height }) => {
    const { data } = paper.getImageData(x, y, width, height);
    const found = {};
    for (let n = 0; n < data.length; n += 4) {
      const name = [data[n], data[n + 1], data[n + 2]].map(one => one.toString(16).padStart(2, '0')).join('');
      found[name] = (found[name] ?? 0) + 1;
    }
    return found;
  };
  const box = selector => [...document.querySelectorAll(selector)].map(one => one.getBoundingClientRect());
  return {
    size: [image.width, image.height],
    margin: colours({ x: 0, y: 0, width: 4, height: image.height }),
    drawing: colours(box('#drawing')[0]),
    sections: box('section').filter(one => one.top < image.height - 40).map(colours),
  };
}"""

# Text that leaves its machine's box or its button, and whatever leaves its section.
CLIPPED = """() => {
  const outside = (inner, outer) => {
    const [a, b] = [inner.getBoundingClientRect(), outer.getBoundingClientRect()];
    return a.left < b.left - 1 || a.right > b.right + 1 || a.top < b.top - 1 || a.bottom > b.bottom + 1;
  };
  const over = (inner, outer) => inner.getBoundingClientRect().right > outer.getBoundingClientRect().right;
  const all = selector => [...document.querySelectorAll(selector)].filter(one => one.checkVisibility());
  return [
    ...all('.machine text').filter(one => outside(one, one.parentNode.querySelector('.box'))),
    ...all('button').filter(one => one.scrollWidth > one.clientWidth + 1),
    ...all('section :is(svg, form, label, p, .timeline)').filter(one => over(one, one.closest('section'))),
  ].map(one => one.outerHTML);
}"""
