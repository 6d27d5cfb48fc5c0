"""What may come next on a command line: names of topologies, labs, machines, that Invoke does not know.

    punchlab lab.up <TAB>                                  topologies
    punchlab lab.nat double-nat <TAB>                      the routers of that lab
    punchlab lab.nat double-nat home-a --profile <TAB>     NAT presets

Shells do not tell whether the last word is whole. So what may stand in its place is offered, and what would
follow it; the shell keeps what fits what was typed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence

from invoke.parser.context import ParserContext

from lab.errors import LabError
from lab.model.path import PATH_KINDS

Known = Callable[[str], Sequence[str]]  # the first word behind the command -> what there is


def completions(words: Sequence[str], contexts: Mapping[str, ParserContext]) -> list[str]:
    """`words` are those behind the program's name. Nothing: Invoke may know better."""
    commands = [n for n, word in enumerate(words) if word in contexts]
    if not commands:
        return []
    at = commands[-1]
    context, rest = contexts[words[at]], _without_prefixes(words[at + 1 :])
    if not rest:
        longer = [each for each in contexts if each.startswith(words[at])]
        return [*(longer if len(longer) > 1 else ()), *_values(_positional(context, 0), rest)]
    for option in rest[-2:]:
        if option.startswith("-"):
            return _values(_takes_value(context, option), rest)
    typed = len(_plain(context, rest))
    return [
        value
        for place in (typed - 1, typed)
        for value in _values(_positional(context, place), rest)
    ]


def _without_prefixes(words: Sequence[str]) -> list[str]:
    """`topology=double-nat`: bash has made three words of it."""
    behind = [*words[1:], ""]
    return [each for each, after in zip(words, behind, strict=False) if "=" not in (each, after)]


def _plain(context: ParserContext, rest: Sequence[str]) -> list[str]:
    """The words that are no options, nor values of any."""
    found, skip = [], False
    for word in rest:
        if word.startswith("-"):
            skip = "=" not in word and _takes_value(context, word) is not None
        elif skip:
            skip = False
        else:
            found.append(word)
    return found


def _positional(context: ParserContext, place: int) -> str | None:
    names = [each.name for each in context.positional_args]
    return names[place] if 0 <= place < len(names) else None


def _takes_value(context: ParserContext, option: str) -> str | None:
    argument = context.flags.get(option)
    return argument.name if argument is not None and argument.takes_value else None


def _values(argument: str | None, rest: Sequence[str]) -> list[str]:
    known = _KNOWN.get(argument or "")
    if known is None:
        return []
    try:
        return list(known(rest[0] if rest else ""))
    except (LabError, OSError):  # there is no such lab
        return []


# --- what there is


def _topologies(_: str) -> list[str]:
    from lab.model.topology import known

    return [name for name, _title in known()]


def _labs(_: str) -> list[str]:
    from lab import state

    return state.running()


def _machines(*kinds: str) -> Known:
    def known(lab: str) -> Iterator[str]:
        from lab.client import Lab

        machines = Lab.attach(lab).plan().machines
        return (each.name for each in machines if each.kind in kinds)

    return lambda lab: list(known(lab))


def _wires(lab: str) -> list[str]:
    from lab.client import Lab

    return [wire.name for wire in Lab.attach(lab).plan().wires]


def _presets(_: str) -> list[str]:
    from lab.model.presets import PRESETS

    return list(PRESETS)


_ANY = _machines("host", "router", "relay")
_KNOWN: Mapping[str, Known] = {
    "topology": _topologies,
    "name": _labs,
    "host": _ANY,
    "a": _ANY,
    "b": _ANY,
    "source": _machines("host"),
    "target": _machines("host"),
    "router": _machines("router"),
    "link": _wires,
    "profile": _presets,
    "path": lambda _: PATH_KINDS,
    "format": lambda _: ("mermaid", "dot", "svg"),
}
