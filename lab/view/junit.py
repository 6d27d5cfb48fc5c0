"""JUnit XML, as CI servers read it: a suite, and a case a cell."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from xml.etree import ElementTree as Xml

from lab.view.matrix_text import told

Json = Mapping[str, Any]


def junit(report: Json) -> str:
    summary = report["summary"]
    counts = {
        "tests": str(summary["cells"]),
        "failures": str(summary["disagrees"]),
        "errors": str(summary["failed"]),
        "time": str(report["seconds"]),
    }
    suite = Xml.Element("testsuite", {"name": "matrix"} | counts)
    for cell in report["cells"]:
        _case(suite, cell)
    suites = Xml.Element("testsuites", counts)
    suites.append(suite)
    Xml.indent(suites)
    return Xml.tostring(suites, encoding="unicode", xml_declaration=True) + "\n"


def _case(suite: Xml.Element, cell: Json) -> None:
    name = f"{cell['initiator']} to {cell['responder']}"
    seen = cell["observed"] or {}
    time = f"{(seen.get('direct_after_ms') or seen.get('first_packet_ms') or 0) / 1000:.4f}"
    case = Xml.SubElement(suite, "testcase", classname="matrix", name=name, time=time)
    if cell["verdict"] == "disagrees":
        Xml.SubElement(case, "failure", message=told(cell))
    if cell["verdict"] == "failed":
        Xml.SubElement(case, "error", message=told(cell))
    if cell["first_try"]:
        Xml.SubElement(
            case, "system-out"
        ).text = f"tried again; the first time: {cell['first_try']}"
