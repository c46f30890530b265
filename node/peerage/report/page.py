"""The page: head, sections, foot. It loads nothing, runs nothing, and forbids both by its content policy."""

from typing import Final

from peerage.report.html import Html, el, join
from peerage.report.reading import Told
from peerage.report.sections import SECTIONS
from peerage.report.style import CSS

POLICY: Final = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; form-action 'none'"


def page(told: Told) -> str:
    title = f"Report of {told.title}"
    head = el(
        "head",
        el("meta", charset="utf-8"),
        el("meta", http_equiv="Content-Security-Policy", content=POLICY),
        el("meta", name="viewport", content="width=device-width, initial-scale=1"),
        el("title", title),
        el("style", Html(CSS)),
    )
    sections = [
        el("section", el("h2", name, id=f"h-{key}"), body(told), id=key, aria_labelledby=f"h-{key}")
        for key, name, body in SECTIONS
    ]
    links = [el("a", name, href=f"#{key}") for key, name, _ in SECTIONS]
    body = el(
        "body",
        el("header", el("h1", title), el("p", f"Run directory: {told.root.name}", class_="soft"),
           el("nav", *links, aria_label="Sections")),
        el("main", join(sections)),
        el("footer", el("p", "Made from the run directory alone. Grid data: Our World in Data, Ember, "
                             "Energy Institute (CC BY 4.0), as CodeCarbon's table has it.")),
    )  # fmt: skip
    return "<!doctype html>\n" + el("html", head, body, lang="en").text + "\n"
