"""Scenes are read field by field, and what does not fit is refused by the field's name."""

from __future__ import annotations

from dataclasses import fields
from typing import Any


class SceneError(ValueError):
    """A scene that does not describe its world; the message names the field, the value and what is allowed."""


def one_of(field: str, value: object, allowed: tuple) -> None:
    """Raises SceneError if `value` is none of `allowed`, in type and value."""
    # `type(...)` and not isinstance: True would pass as lane 1.
    if not any(type(value) is type(a) and value == a for a in allowed):
        raise SceneError(f"{field}: {short(value)} is not one of {', '.join(map(str, allowed))}")


def short(value: object) -> str:
    """`value` as a message tells it, in at most 60 characters."""
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."


def json_list(field: str, value: Any) -> list:
    """`value` itself. Raises SceneError if it is no list."""
    if not isinstance(value, list):
        raise SceneError(f"{field}: expected a list, found {short(value)}")
    return value


def build(field: str, kind: type, data: Any) -> Any:
    """A dataclass `kind` from a JSON object. Raises SceneError for anything else, an unknown or a missing field."""
    if not isinstance(data, dict):
        raise SceneError(f"{field}: expected a JSON object, found {short(data)}")
    known = [f.name for f in fields(kind)]
    for name in data:
        if name not in known:
            raise SceneError(f"{field}: unknown field {short(name)}; known are {', '.join(known)}")
    try:
        return kind(**data)
    except TypeError as error:
        raise SceneError(f"{field}: {error.args[0].split('__init__() ')[-1]}") from None
