"""What counts as a change of an event, and which changes break."""

from decimal import Decimal
from enum import StrEnum
from typing import Annotated, Any, Literal

import pytest
from pydantic import BaseModel, ConfigDict, Field, create_model

from events.contracts.comparison import compare


class Size(BaseModel):
    model_config = ConfigDict(extra="forbid")
    width: int


class Girth(BaseModel):
    """The same under another name."""

    model_config = ConfigDict(extra="forbid")
    width: int


class Bigger(BaseModel):
    model_config = ConfigDict(extra="forbid")
    width: int
    height: int = 1


class Tall(BaseModel):
    model_config = ConfigDict(extra="forbid")
    height: int


class Renamed(BaseModel):
    model_config = ConfigDict(extra="forbid")
    breadth: int


class Tree(BaseModel):
    model_config = ConfigDict(extra="forbid")
    branches: list["Tree"] = []


class Bush(BaseModel):
    model_config = ConfigDict(extra="forbid")
    branches: list["Bush"] = []
    leaves: int = 0


class Colour(StrEnum):
    RED = "red"


class Colours(StrEnum):
    RED = "red"
    BLUE = "blue"


def schema(**fields: Any) -> dict[str, Any]:
    forbid = ConfigDict(extra="forbid")
    model = create_model("Sample", __config__=forbid, **fields)
    return model.model_json_schema(mode="serialization")


def changed(old: dict[str, Any], new: dict[str, Any]) -> list[tuple[str, bool]]:
    return [(str(each), each.breaking) for each in compare(schema(**old), schema(**new))]


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ({"a": int}, {"a": int, "b": (int, 0)}, "b was added and may be left out"),
        (
            {"a": int},
            {"a": int, "b": (list[int], Field(default_factory=list))},
            "b was added and may be left out",
        ),
        ({"a": int}, {"a": (int, 7)}, "a may be left out now"),
        ({"a": Size}, {"a": Bigger}, "a.height was added and may be left out"),
        ({"a": list[Size]}, {"a": list[Bigger]}, "a[].height was added and may be left out"),
        ({"a": Size | None}, {"a": Bigger | None}, "a.height was added and may be left out"),
        ({"a": Tree}, {"a": Bush}, "a.leaves was added and may be left out"),
        ({"a": int}, {"a": Annotated[int, Field(description="more")]}, "its description changed"),
        ({"a": Size}, {"a": Girth}, "its description changed"),
    ],
)
def test_a_change_that_old_and_new_code_can_live_with_is_compatible(
    old: dict[str, Any], new: dict[str, Any], told: str
) -> None:
    assert changed(old, new) == [(told, False)]


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ({"a": int, "b": int}, {"a": int}, "b was removed or renamed: the log holds events with"),
        ({"a": int}, {"a": int, "b": int}, "b was added without a default: the log holds events"),
        ({"a": (int, 0)}, {"a": int}, "a is required now: the log may hold events without it"),
        ({"a": int}, {"a": str}, "a has type 'string' instead of 'integer'"),
        ({"a": int}, {"a": int | str}, "a allows integer or string instead of"),
        ({"a": int}, {"a": int | None}, "a allows"),
        ({"a": int | None}, {"a": int}, "a allows"),
        ({"a": str}, {"a": Annotated[str, Field(max_length=9)]}, "a has maxLength 9 instead of"),
        ({"a": str}, {"a": Annotated[str, Field(pattern="x")]}, "a has pattern 'x' instead of"),
        ({"a": (int, 1)}, {"a": (int, 2)}, "a has default 2 instead of 1"),
        ({"a": Literal["x"]}, {"a": Literal["x", "y"]}, "a has"),
        ({"a": Colour}, {"a": Colours}, "a has"),
        ({"a": Decimal}, {"a": int}, "a has"),
        ({"a": Size}, {"a": Renamed}, "a."),
        ({"a": list[int]}, {"a": list[str]}, "a[] has type 'string' instead of 'integer'"),
        ({"a": dict[str, int]}, {"a": dict[str, str]}, "a[] has type 'string' instead of"),
        ({"a": dict[str, int]}, {"a": dict[str, Any]}, "a has additionalProperties"),
        ({"a": tuple[int, str]}, {"a": tuple[int, int]}, "a has type 'integer' instead of"),
        ({"a": tuple[int, str]}, {"a": tuple[int, ...]}, "a "),
        # Which branch is meant cannot be told from a field that one of them does not know.
        ({"a": Size | Tall}, {"a": Bigger | Tall}, "a.height was added"),
    ],
)
def test_a_change_that_old_code_or_the_log_cannot_live_with_breaks(
    old: dict[str, Any], new: dict[str, Any], told: str
) -> None:
    found = changed(old, new)

    assert found[0][0].startswith(told) or any(text.startswith(told) for text, _ in found), found
    assert any(breaking for _, breaking in found)


def test_nothing_is_said_of_schemas_that_are_equal() -> None:
    fields = {"a": Tree, "b": (Decimal, Decimal(1)), "c": Size | Tall, "d": dict[str, list[Size]]}

    assert changed(fields, fields) == []
