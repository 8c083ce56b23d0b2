"""JSON Patches (RFC 6902) over payloads, within bounds, whose errors do not show the payload."""

import json
from collections.abc import Sequence
from typing import Any

import jsonpatch
import jsonpointer
from pydantic_core import from_json

from events.errors import InvalidPayload

MAX_COPIED = 1 << 20  # characters of JSON: each `copy` may double the payload, a hundred may 2^100
_TOO_DEEP = "it nests the payload too deep"

Payload = dict[str, Any]


def patched(data: Payload, patch: Sequence[Payload]) -> Any:
    """Return the payload after all operations. Raises `InvalidPayload`, which names the first bad.

    The result is checked as far as any JSON is: its nesting has the limit of a request's body.
    """
    found: Any = json.loads(json.dumps(data))  # a copy, as deep as it may be
    copied = 0
    for number, each in enumerate(patch, 1):
        try:
            copied += _copied(found, each)
            if copied > MAX_COPIED:
                raise _refused(number, each, f"it copies more than {MAX_COPIED:,} characters")
            found = _applied(found, each)
        except (jsonpatch.JsonPatchException, jsonpointer.JsonPointerException) as error:
            raise _refused(number, each, _words(error, each)) from error
        except RecursionError as error:
            raise _refused(number, each, _TOO_DEEP) from error
        except (TypeError, ValueError, LookupError, AttributeError) as error:
            raise _refused(number, each, "it is no operation of a JSON Patch") from error
    try:
        return from_json(json.dumps(found), allow_inf_nan=False)
    except RecursionError as error:
        raise InvalidPayload([("patch", _TOO_DEEP)]) from error
    except ValueError as error:
        raise InvalidPayload([("patch", f"it leaves no JSON: {error}")]) from error


def _applied(found: Any, operation: Payload) -> Any:
    return jsonpatch.JsonPatch([operation]).apply(found, in_place=True)


def _copied(found: Any, operation: Payload) -> int:
    """Return the size of what an operation copies; what cannot be found is refused later."""
    if operation.get("op") != "copy":
        return 0
    try:
        value = jsonpointer.JsonPointer(operation.get("from", "")).resolve(found)
    except (jsonpointer.JsonPointerException, TypeError):
        return 0
    return len(json.dumps(value))


def _refused(number: int, operation: Payload, words: str) -> InvalidPayload:
    path = operation.get("path")
    place = f" at {path[:100]}" if isinstance(path, str) and path else ""
    return InvalidPayload([("patch", f"operation {number}{place}: {words}")])


def _words(error: Exception, operation: Payload) -> str:
    if isinstance(error, jsonpatch.JsonPatchTestFailed):
        return f"the payload has not the value {json.dumps(operation.get('value'))[:100]} there"
    text = str(error)
    # The library's text has the whole payload, with what it says about people.
    if isinstance(error, jsonpointer.JsonPointerException) and " not found" in text:
        return "the payload has nothing there"
    return text[:200]
