"""What is wrong with a request is said, as the page on zero-shot classification has it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from tests.support.markdown import ROOT

from naiad.applications.text.zero_shot.question import Question
from naiad.applications.text.zero_shot.task import ZeroShotTask
from naiad.errors import InvalidInput

FINE: dict[str, Any] = {"text": [b"a text"], "labels": [b"politics", b"business"]}


def question(**change: list[bytes]) -> Question:
    request = {"hypothesis_template": [b""], **FINE, **change}
    arrays = {name: np.array([*values, None], object)[:-1] for name, values in request.items()}
    return Question.of(arrays)


@pytest.mark.parametrize(
    "change",
    [
        {"text": []},
        {"text": [b"a text", b" \n"]},
        {"text": [b"a text", "\u200b\ufeff".encode()]},
        {"text": [b"a text", b"\0"]},
        {"text": [b"caf\xe9"]},
        {"text": [b"x" * 1_048_577]},
        {"labels": []},
        {"labels": [b"politics", b""]},
        {"labels": [b"politics", "\u200b".encode()]},
        {"labels": [b"politics", b"business", b"politics"]},
        {"hypothesis_template": [b"This is about something."]},
    ],
)
def test_a_bad_request_is_refused_with_the_documented_message(change: dict[str, list[bytes]]):
    with pytest.raises(InvalidInput) as caught:
        question(**change)
    assert f"| `{caught.value}` |" in (ROOT / "docs" / "zero-shot.md").read_text("utf-8")


def test_labels_take_their_place_in_the_template():
    assert question().hypotheses("It is {}.") == ["It is politics.", "It is business."]
    own = question(hypothesis_template=[b"About {}"], labels=[b"{0}", b"a{}b"])
    assert own.hypotheses("It is {}.") == ["About {0}", "About a{}b"]


def test_a_list_of_labels_is_needed():
    task, options = ZeroShotTask(), ZeroShotTask.Options("politics")
    with pytest.raises(InvalidInput, match="labels is a single text; give a list of texts"):
        task.request(task.coerce("a text", options), options)
