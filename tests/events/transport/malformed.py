"""Malformed messages: input for `validate` and for real workers."""

import base64
import json
import pickle
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from events.messages import Message
from events.transport.protocol import encode

_EVENT = UUID("0197a3c1-0000-7000-8000-000000000001")
_BODY, _HEADERS = encode(
    Message("m-1", "pings.answer_ping", "pings", (_EVENT,), 0, "ping.pinged P-1"), origin="test"
)
_IDS, _NAMED, _OPTIONS = json.loads(_BODY)

_ORDINARY: dict[str, Any] = {"task": "mixed.add", "id": "t-1", "retries": 0}
_SUM: list[Any] = [[1, 2], {}, dict.fromkeys(("callbacks", "errbacks", "chain", "chord"))]


@dataclass(frozen=True)
class Malformed:
    """A message and its fault."""

    wrong: str
    headers: dict[str, Any] = field(default_factory=lambda: dict(_HEADERS))
    body: bytes = _BODY
    content_type: str | None = "application/json"
    content_encoding: str | None = "utf-8"


def _header(name: str, *values: Any) -> list[Malformed]:
    return [
        Malformed(f"header {name}={str(value)[:20]!r}", _HEADERS | {name: value})
        for value in values
    ]


def _without(name: str) -> Malformed:
    return Malformed(
        f"no header {name}", {each: value for each, value in _HEADERS.items() if each != name}
    )


def _body(*payloads: Any) -> list[Malformed]:
    return [
        Malformed(f"body {str(payload)[:30]!r}", body=json.dumps(payload).encode())
        for payload in payloads
    ]


def _arguments(*values: Any) -> list[Malformed]:
    return _body(*([value, {}, _OPTIONS] for value in values))


WRONG_HEADERS = [
    Malformed("no headers", {}),
    *(_without(name) for name in ("task", "id")),
    *_header("task", None, 5, [], {}, "", "two words", "a" * 300),
    *_header("id", None, 5, ["m-1"], "", "new\nline", "a" * 500),
    *_header("retries", "3", [], -1, 1.5, True, 1 << 40),
    *_header("eta", "2030-01-01T00:00:00", "soon", 5, {}),
    *_header("expires", "2000-01-01T00:00:00", [], 60),
    *_header("timelimit", 5, "ab", [1], [1, 2], [None, 0.001], {"a": 1}),
    *_header("stamped_headers", "abc"),
    *_header("stamps", {"a": 1}),
    *_header("shadow", "email.confirm_receipt"),
    *_header("group", "g-1"),
    *_header("argsrepr", 5),
    *_header("origin", ["x"]),
    *_header("ignore_result", "yes"),
    *_header(
        "chain", [{"task": "celery.backend_cleanup", "args": [], "kwargs": {}, "options": {}}]
    ),
    *_header("called_directly", True),
    *_header("update", 1),
]
WRONG_BODIES = [
    *_body(
        None, 5, "", "text", [], {}, True, [1], [1, 2], [1, 2, 3, 4], {"args": []}, {"task": "x"}
    ),
    *_arguments(
        [], None, {}, "ab", [[]], [None], [5], ["x"], [["x"]], [[5]], [[None]], [{}], [*_IDS, *_IDS]
    ),
    *_arguments(
        [[{"__type__": "uuid", "__value__": {"hex": _EVENT.hex}}]],
        [[{"__type__": "decimal", "__value__": "1e999999"}]],
    ),
    *_body(
        [_IDS, {"x": 1}, _OPTIONS],
        [_IDS, None, _OPTIONS],
        [_IDS, [], _OPTIONS],
        [_IDS, 0, _OPTIONS],
    ),
    *_body(
        [_IDS, {}, None],
        [_IDS, {}, []],
        [_IDS, {}, {"chain": [1]}],
        [_IDS, {}, {"callbacks": ["x"]}],
        [_IDS, {}, {"id": None}],
    ),
]
UNDECODABLE = [
    Malformed("empty body", body=b""),
    Malformed("no JSON", body=b"{not json"),
    Malformed("bad UTF-8", body=b"\xff\xfe\x00\x80"),
    Malformed("NUL", body=b"\x00" * 20),
    Malformed("deep", body=b"[" * 100_000),
    Malformed("deep and closed", body=b"[" * 5000 + b"]" * 5000),
    Malformed("a number too long", body=b"1" * 10_000),
    Malformed("oversize", body=b'[[["' + b"a" * (2 << 20) + b'"]], {}, {}]'),
    Malformed(
        "pickle",
        body=pickle.dumps(_IDS),
        content_type="application/x-python-serialize",
        content_encoding="binary",
    ),
    Malformed("yaml", content_type="application/x-yaml"),
    Malformed("unknown content type", content_type="application/x-nothing"),
    Malformed("no content type", content_type=None, content_encoding=None),
    Malformed("unknown compression", _HEADERS | {"compression": "application/x-nothing"}),
    Malformed("wrong compression", _HEADERS | {"compression": "application/x-gzip"}),
    Malformed("unknown task", _HEADERS | {"task": "pings.no_such_handler"}),
    Malformed("a task of Celery's own", _HEADERS | {"task": "celery.backend_cleanup"}),
]


def _ordinary(headers: dict[str, Any], payload: Any = _SUM) -> Malformed:
    return Malformed(
        f"{headers} {str(payload)[:30]!r}", _ORDINARY | headers, json.dumps(payload).encode()
    )


# Messages for ordinary tasks that would end the worker process, or be dropped by it.
WRONG_ORDINARY = [
    *(
        _ordinary({name: value})
        for name, values in {
            "id": (None, 5, ["t-1"], "", "new\nline"),
            "retries": ("3", [], -1, True),
            "eta": ("soon", 5, {}, "9999-12-31T23:59:59+00:00"),
            "expires": ([], 60, "never"),
            "timelimit": (5, "ab", [1], ["1", None], {"a": 1}),
            "stamped_headers": ("abc", ["absent"]),
            "stamps": ("a",),
            "shadow": (5,),
            "group": (["g"],),
            "argsrepr": (5,),
            "called_directly": (True,),
            "update": (1,),
            "get": ("x",),
            "chain": ([],),
            "headers": ("x",),
        }.items()
        for value in values
    ),
    *(
        _ordinary({}, payload)
        for payload in (
            *(None, 5, "text", [], {}, [1], [1, 2], [1, 2, 3], {"args": [], "kwargs": {}}),
            *([[1], None, {}], [[1], [], {}], ["ab", {}, {}], [[1], {}, 5], [[1], {}, {"id": 1}]),
            [[1], {}, {"chain": "x"}],
        )
    ),
    _ordinary({"task": "mixed.no_such_task"}),
    Malformed("no JSON", _ORDINARY, b"{not json"),
    Malformed("pickle", _ORDINARY, b"\x80", "application/x-python-serialize", "binary"),
    Malformed("no id", {"task": "mixed.add"}, json.dumps(_SUM).encode()),
]
EVERYTHING = [*WRONG_HEADERS, *WRONG_BODIES, *UNDECODABLE]

_ENVELOPE: dict[str, Any] = {
    "body": base64.b64encode(_BODY).decode(),
    "content-encoding": "utf-8",
    "content-type": "application/json",
    "headers": _HEADERS,
    "properties": {
        "correlation_id": "m-1",
        "delivery_mode": 2,
        "delivery_info": {"exchange": "pings", "routing_key": "pings"},
        "priority": 0,
        "body_encoding": "base64",
        "delivery_tag": "tag-1",
    },
}


def _raw(part: str, *values: Any) -> list[bytes]:
    return [json.dumps(_ENVELOPE | {part: value}).encode() for value in values]


def _property(name: str, *values: Any) -> list[bytes]:
    return _raw("properties", *(_ENVELOPE["properties"] | {name: value} for value in values))


# Items that another program could push into a queue's list on Redis.
GARBAGE = [
    *(
        b"garbage",
        b" ",
        b"null",
        b"5",
        b"[]",
        b"{}",
        b'""',
        b"true",
        b"\xff\xfe",
        b"\x00",
        b"{" * 20,
        b"[" * 100_000,
    ),
    *_raw("properties", None, 5, [], {}, "x"),
    *_property(
        "delivery_info",
        None,
        5,
        [],
        {},
        {"exchange": "pings"},
        {"exchange": "a", "routing_key": "b"},
    ),
    *_property("delivery_tag", None, 5, [], {}),
    *_property("body_encoding", 5, "rot13"),
    *_raw("body", 5, [1], {"a": 1}),
    *_raw("headers", 5, [1], "x", {"deep": json.loads("[" * 300 + "]" * 300)}),
    b'{"a":' * 900 + b"1" + b"}" * 900,
]
