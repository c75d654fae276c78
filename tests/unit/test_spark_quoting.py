"""Names and texts in Spark's SQL: whatever they hold, they end where they should and are read as they were."""

import re

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from dagster_lake.sql.spark import literal, quoted

texts = st.lists(st.one_of(st.sampled_from(["'", "\\", "\n", "\r", "`", "$", "{", "${", "u0024", "n"]), st.text())).map(
    "".join
)


def read(spelled: str) -> str:
    """The text that Spark reads from a literal, which must be one from its first quote to its last."""
    assert re.fullmatch(r"'(?:[^'\\]|\\.)*'", spelled, re.DOTALL)
    return re.sub(r"\\u([0-9a-f]{4})|\\(.)", _character, spelled[1:-1])


def _character(escape: re.Match[str]) -> str:
    return chr(int(escape[1], 16)) if escape[1] else {"n": "\n"}.get(escape[2], escape[2])


@given(texts)
@example("")
@example("it's")
@example("a\\")
@example("\\'")
@example("$${x}")
@example("\\${env:HOME}")
@example("\\u0024{x}")
@example("\\n\n")
def test_a_text_is_read_as_it_was(text: str) -> None:
    assert read(literal(text)) == text


@given(texts)
def test_a_literal_is_one_line_and_names_no_setting(text: str) -> None:
    assert "\n" not in literal(text)
    assert "${" not in literal(text)


@pytest.mark.parametrize(("value", "spelled"), [(0, "0"), (-3, "-3"), (0.5, "0.5"), ("3", "'3'")])
def test_numbers_are_not_quoted(value: str | int | float, spelled: str) -> None:
    assert literal(value) == spelled


@given(texts)
@example("a`b")
@example("`")
def test_a_name_is_read_as_it_was(name: str) -> None:
    assert re.fullmatch(r"`(?:[^`]|``)*`", quoted(name), re.DOTALL)
    assert quoted(name)[1:-1].replace("``", "`") == name
