"""Every error that leaves over HTTP: one table, one handler, problem+json (RFC 9457).

TidingsError
└── WebError
    ├── InvalidInput          what was sent does not fit; it names each field
    │   └── MalformedJson     the body is no JSON at all
    ├── KeyReused             an Idempotency-Key came again with another body
    ├── StillRunning          the request with this Idempotency-Key has not ended yet
    ├── WrongToken            no order has this id and this token
    └── ForeignOrigin         a page of another site asked for a change
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any, NoReturn

import structlog
from flask import Flask, Response, g, jsonify, render_template, request
from pydantic import ValidationError
from werkzeug.exceptions import HTTPException

from events.db_errors import describe_error, is_transient, unavailable_reason
from events.errors import TidingsError, UnknownDelivery, UnknownSubscription
from tasks.errors import OrderError

MEDIA_TYPE = "application/problem+json"
MOST_ERRORS = 50  # a body with a thousand mistakes is not listed mistake by mistake
log = structlog.get_logger()


@dataclass(frozen=True)
class FieldError:
    """What is wrong with one field, named as a path such as `items.0.quantity`."""

    field: str
    message: str


class WebError(TidingsError):
    """An error of the web's own."""


class InvalidInput(WebError):
    """What was sent does not fit."""

    def __init__(self, errors: Iterable[FieldError]) -> None:
        self.errors = list(errors)
        super().__init__("; ".join(f"{each.field}: {each.message}" for each in self.errors))


class MalformedJson(InvalidInput):
    """The body is no JSON at all."""


class KeyReused(WebError):
    """An Idempotency-Key came again with another body."""

    def __init__(self) -> None:
        super().__init__(
            "this Idempotency-Key was used for another body; use a new key for a new order"
        )


class StillRunning(WebError):
    """The request with this Idempotency-Key has not ended yet."""

    def __init__(self) -> None:
        super().__init__(
            "a request with this Idempotency-Key is still running; ask again in a second"
        )


class WrongToken(WebError):
    """No order has this id and this token; which of the two is wrong is not told."""

    def __init__(self) -> None:
        super().__init__(
            "no order has this id and this token; the token came with the answer that accepted the order"
        )


class ForeignOrigin(WebError):
    """A page of another site asked for a change with the login of whoever looked at it."""

    def __init__(self, origin: str) -> None:
        super().__init__(f"a page of {origin} may not change anything here")


@dataclass(frozen=True)
class Problem:
    """What a client is told about an error."""

    status: int
    title: str
    detail: str | None = None
    errors: tuple[FieldError, ...] = ()
    headers: dict[str, str] = field(default_factory=dict)

    @property
    def type(self) -> str:
        """A name for this kind of problem that programs may compare."""
        return "urn:tidings:problem:" + self.title.lower().replace(" ", "-").replace("'", "")

    def body(self) -> dict[str, Any]:
        """The members of the problem+json."""
        members: dict[str, Any] = {"type": self.type, "title": self.title, "status": self.status}
        if self.detail:
            members["detail"] = self.detail
        if self.errors:
            members["errors"] = [
                {"field": each.field, "message": each.message} for each in self.errors
            ]
        if "correlation_id" in g:
            members["instance"] = f"urn:uuid:{g.correlation_id}"
        return members


RETRY_SOON = {"Retry-After": "1"}
TABLE: dict[type[Exception], tuple[HTTPStatus, str, dict[str, str]]] = {
    MalformedJson: (HTTPStatus.BAD_REQUEST, "Malformed JSON", {}),
    InvalidInput: (HTTPStatus.UNPROCESSABLE_ENTITY, "Invalid input", {}),
    KeyReused: (HTTPStatus.UNPROCESSABLE_ENTITY, "Idempotency key reused", {}),
    StillRunning: (HTTPStatus.CONFLICT, "Still running", RETRY_SOON),
    WrongToken: (HTTPStatus.FORBIDDEN, "Wrong token", {}),
    ForeignOrigin: (HTTPStatus.FORBIDDEN, "Foreign origin", {}),
    UnknownDelivery: (HTTPStatus.NOT_FOUND, "Unknown dead letter", {}),
    UnknownSubscription: (HTTPStatus.NOT_FOUND, "Unknown subscription", {}),
}
BUSY = Problem(
    503,
    "Database busy",
    "The database did not answer in time. Nothing was saved; try again.",
    headers=RETRY_SOON,
)
UNWRITABLE = Problem(
    503,
    "Database cannot save",
    "The database takes nothing now, and its operator has to mend it. Nothing was saved; try again later.",
    headers={"Retry-After": "30"},
)
BROKEN = Problem(
    500,
    "Internal error",
    "Nothing was saved. The error is in the log under the id given here as instance.",
)


def problem_of(error: Exception) -> Problem:
    """What a client is told about `error`; an unforeseen one tells nothing of its cause."""
    if isinstance(error, HTTPException):
        return _http_problem(error)
    if isinstance(error, OrderError):
        named = (FieldError(error.field, str(error)),) if error.field else ()
        return Problem(error.status, error.title, str(error), named)
    for kind in type(error).__mro__:
        if kind in TABLE:
            status, title, headers = TABLE[kind]
            return Problem(status, title, str(error), tuple(getattr(error, "errors", ())), headers)
    if unavailable_reason(error):
        return UNWRITABLE
    return BUSY if is_transient(error) else BROKEN


def _http_problem(error: HTTPException) -> Problem:
    kept = {
        name: value
        for name, value in error.get_headers()
        if name.lower() not in ("content-type", "content-length")
    }
    return Problem(error.code or 500, error.name, error.description, headers=kept)


def invalid(error: ValidationError) -> InvalidInput:
    """The error that tells what a pydantic model refused, without repeating the input."""
    found = [
        FieldError(
            ".".join(map(str, each["loc"]))[:200] or "body",
            each["msg"].removeprefix("Value error, "),
        )
        for each in error.errors(include_url=False, include_context=False, include_input=False)[
            :MOST_ERRORS
        ]
    ]
    malformed = any(
        each["type"] == "json_invalid"
        for each in error.errors(include_url=False, include_context=False, include_input=False)
    )
    return MalformedJson(found) if malformed else InvalidInput(found)


def refuse(error: ValidationError) -> NoReturn:
    """Raise what a pydantic model refused as `InvalidInput`; the one handler answers it."""
    raise invalid(error) from error


def render(error: Exception) -> Response:
    """The one answer to every error: problem+json, or a page when a browser asked for one."""
    problem = problem_of(error)
    _log(problem, error)
    response = _page(problem) if _wants_page() else jsonify(problem.body())
    if response.mimetype == "application/json":
        response.mimetype = MEDIA_TYPE
    response.status_code = problem.status
    response.headers.extend(problem.headers)
    response.headers.setdefault("Cache-Control", "no-store")
    return response


def _log(problem: Problem, error: Exception) -> None:
    if problem is UNWRITABLE:  # where in the code it was noticed says nothing
        log.error(
            "request failed",
            path=request.path,
            method=request.method,
            status=problem.status,
            database=describe_error(error),
        )
    elif problem is BROKEN or problem is BUSY:
        log.error(
            "request failed",
            path=request.path,
            method=request.method,
            status=problem.status,
            exc_info=error,
        )


def _wants_page() -> bool:
    if request.path.startswith("/api/"):
        return False
    return (
        request.accept_mimetypes.best_match(["application/json", MEDIA_TYPE, "text/html"])
        == "text/html"
    )


def _page(problem: Problem) -> Response:
    return Response(render_template("problem.html", problem=problem), mimetype="text/html")


def init_app(app: Flask) -> None:
    """Let `render` answer every error of `app`."""
    app.register_error_handler(Exception, render)
