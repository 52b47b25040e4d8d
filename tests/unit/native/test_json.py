"""The native backend reads JSON as Python does."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

text = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=8)
scalars = st.none() | st.booleans() | st.integers(-(2**53), 2**53) | text
# An empty list or object reads as null: absent and empty are the same here.
values = st.recursive(
    scalars,
    lambda inner: (
        st.lists(inner, min_size=1, max_size=4)
        | st.dictionaries(text, inner, min_size=1, max_size=4)
    ),
    max_leaves=12,
)


@given(values, st.booleans(), st.none() | st.integers(0, 2))
def test_what_python_writes_is_read(
    drive: Any, value: Any, plain: bool, indent: int | None
) -> None:
    written = json.dumps(value, ensure_ascii=plain, indent=indent)
    assert json.loads(drive("json", written)) == value


@pytest.mark.parametrize("wrong", ["", "{", '{"a" 1}', '"open', "[1 2]", "1 2", '{"a": }', "]"])
def test_what_is_not_json_is_refused(drive: Any, wrong: str) -> None:
    assert "not JSON" in drive("json", wrong, status=1)
