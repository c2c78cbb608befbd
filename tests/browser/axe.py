"""axe-core on a page: what it finds that stands between a person and the page."""

from __future__ import annotations

from functools import cache
from importlib.resources import files
from typing import Any

KNOWN: dict[str, tuple[str, str]] = {}
"""Faults of Gradio's own markup that nothing here can mend: rule -> (part of the element's markup, the reason). There are none."""


@cache
def _script() -> str:
    return (files("axe_playwright_python") / "axe.min.js").read_text(encoding="utf-8")


def faults(page: Any, within: str = "") -> list[str]:
    """Everything that axe finds, of whatever weight, as "impact rule: element, why", but for what is KNOWN."""
    if not page.evaluate("() => 'axe' in window"):
        page.add_init_script(_script())  # also where a policy of the page's own forbids foreign scripts
        page.evaluate(_script())
    found = page.evaluate("(within) => axe.run(within || document, { resultTypes: ['violations'] })", within)
    said = []
    for rule in found["violations"]:
        for node in rule["nodes"]:
            if not (rule["id"] in KNOWN and KNOWN[rule["id"]][0] in node["html"]):
                said.append(f"{rule['impact']} {rule['id']}: {node['html'][:120]} {' '.join(node.get('failureSummary', '').split())[:160]}")
    return said
