"""The graph of models: which stands on which, and which the pay follows."""

import base64

from peerage.report.html import Html, el, join
from peerage.report.reading import Told


def body(told: Told) -> Html:
    named = told.summary.aggregate_sha256 if told.summary else ""
    words = el("p", f"The final model is named {named}.") if named else None
    if told.dag is None:
        return join([words, el("p", "The graph could not be drawn: see what is missing, at the top.", class_="none")])
    # As an image the drawing keeps its own style, and nothing in it can run.
    data = base64.b64encode(told.dag.encode("utf-8", "replace")).decode()
    picture = el("img", src=f"data:image/svg+xml;base64,{data}", class_="dag",
                 alt="Graph of all recorded models; `peerage provenance RUN_DIR --log` lists them")  # fmt: skip
    frame = el("div", picture, class_="scroll", tabindex="0", role="region", aria_label="Models")
    return join([words, frame])
