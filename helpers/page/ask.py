"""A box to ask a model about a picture: the answers that it considers, and how sure it is of each."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from html import escape

import ipywidgets

SHOWN = 3  # answers
SURE = 0.5  # below this the best answer is called a guess


def answer_bars(probabilities: Mapping[str, float]) -> str:
    """HTML with a bar for each of the likeliest answers, what is left over, and a word on how sure the model is.

    probabilities: {answer: 0 to 1}, the likeliest first, as `answer_probabilities` gives them.
    """
    shown = list(probabilities.items())[:SHOWN]
    rest = max(0.0, 1 - sum(p for _, p in shown))
    rows = "".join(
        f'<tr><td style="padding-right:1em">{escape(answer)}</td><td style="width:12em">'
        f'<div style="width:{100 * p:.1f}%;min-width:1px;height:0.9em;background:{colour}"></div></td>'
        f'<td style="text-align:right">{p:.0%}</td></tr>'
        for answer, p, colour in [*((a, p, "#0072B2") for a, p in shown), ("any other text", rest, "#999999")]
    )
    best, p = shown[0]
    said = escape(best)
    verdict = f"It answers <b>{said}</b>." if p >= SURE else f"It would say <b>{said}</b>, but it is guessing."
    return f"<p>{verdict}</p><table>{rows}</table>"


def ask_box(answer: Callable[[str], Mapping[str, float]], question: str) -> ipywidgets.Widget:
    """A text field with `question` in it; below it what `answer` makes of the text, anew after each Enter.

    answer: (question) -> {answer: probability}, the likeliest first. A question that the model cannot take, such as one
    that is too long, is answered with the reason.
    """
    field = ipywidgets.Text(
        question, description="question", continuous_update=False, layout=ipywidgets.Layout(width="32em")
    )
    below = ipywidgets.HTML()

    def show(change: object = None) -> None:
        text = field.value.strip()
        if not text:
            below.value = "<p>Type a question and press Enter.</p>"
            return
        try:
            below.value = answer_bars(answer(text))
        except ValueError as error:
            below.value = f"<p>This question cannot be asked: {escape(str(error))}</p>"

    field.observe(show, "value")
    show()
    return ipywidgets.VBox([field, below])
