"""Errors over HTTP: one table, one handler, one format, problem+json (RFC 9457).

TidingsError
└── WebError
    ├── InvalidInput          the input does not fit; each wrong field is named
    │   └── MalformedJson     the body is not JSON
    ├── KeyReused             the Idempotency-Key was used with another body
    ├── StillRunning          the first request with the Idempotency-Key is not finished
    ├── WrongToken            no order has this id and this token
    ├── ForeignOrigin         a page of another site requested a change
    └── BadAddress            host or forwarded headers are no address of this site
"""

from collections.abc import Iterable
from http import HTTPStatus
from typing import Any, NoReturn

import structlog
from flask import Flask, Response, has_request_context, jsonify, render_template, request
from pydantic import ValidationError
from werkzeug.exceptions import HTTPException

from events.admin.dead_letters import NothingToDiscard
from events.admin.invalid_messages import UnknownInvalidMessage
from events.admin.saved_views import TooManyViews, UnknownView
from events.db_errors import (
    describe_error,
    is_cancelled,
    is_input_fault,
    is_transient,
    unavailable_reason,
)
from events.dry_runs.outside import UnknownAnswer
from events.errors import (
    AlreadyReplaying,
    InvalidPayload,
    NothingToReplay,
    ReasonMissing,
    ReplayIsOver,
    TidingsError,
    UnknownDelivery,
    UnknownDependency,
    UnknownGroup,
    UnknownReplay,
    UnknownSubscription,
    UnknownTaskMessage,
)
from events.inputs import reason_of
from tasks.errors import OrderError
from web.problems import (
    DATABASE_BUSY,
    DATABASE_CANNOT_SAVE,
    INTERNAL_ERROR,
    RETRY_SOON,
    FieldError,
    Problem,
)
from web.refused_values import refused_fields, sent_form

__all__ = ["FieldError", "InvalidInput", "Problem", "WebError", "invalid", "render"]
MEDIA_TYPE = "application/problem+json"
NOT_TAKEN = "the database takes no such value; give a shorter, smaller or plainer one"
MAX_ERRORS = 50  # of one request; the response to a long list of mistakes stays short
log = structlog.get_logger()


class WebError(TidingsError):
    """Base of the errors that the web itself raises."""


class InvalidInput(WebError):
    """The input does not fit; `errors` names each wrong field."""

    def __init__(self, errors: Iterable[FieldError]) -> None:
        self.errors = list(errors)
        super().__init__("; ".join(f"{each.field}: {each.message}" for each in self.errors))


class MalformedJson(InvalidInput):
    """The body is not JSON."""


class KeyReused(WebError):
    """The Idempotency-Key was used with another body."""

    def __init__(self) -> None:
        super().__init__(
            "this Idempotency-Key was used with another body; use a new key for a new order"
        )


class StillRunning(WebError):
    """The first request with the Idempotency-Key is not finished."""

    def __init__(self) -> None:
        super().__init__(
            "the first request with this Idempotency-Key is still running; repeat it in a second"
        )


class WrongToken(WebError):
    """No order has this id and this token. The error does not reveal which of the two is wrong."""

    def __init__(self) -> None:
        super().__init__(
            "no order has this id and this token; use the token, or the whole link, "
            "that came with the order"
        )


class ForeignOrigin(WebError):
    """A page of another site requested a change with the login of its reader."""


class BadAddress(WebError):
    """The host or the forwarded headers of a request are no address of this site."""


TABLE: dict[type[Exception], tuple[HTTPStatus, str, dict[str, str]]] = {
    MalformedJson: (HTTPStatus.BAD_REQUEST, "Malformed JSON", {}),
    InvalidInput: (HTTPStatus.UNPROCESSABLE_ENTITY, "Invalid input", {}),
    KeyReused: (HTTPStatus.UNPROCESSABLE_ENTITY, "Idempotency key reused", {}),
    StillRunning: (HTTPStatus.CONFLICT, "Still running", RETRY_SOON),
    WrongToken: (HTTPStatus.FORBIDDEN, "Wrong token", {}),
    ForeignOrigin: (HTTPStatus.FORBIDDEN, "Foreign origin", {}),
    BadAddress: (HTTPStatus.BAD_REQUEST, "Bad address", {}),
    UnknownDelivery: (HTTPStatus.NOT_FOUND, "Unknown dead letter", {}),
    UnknownInvalidMessage: (HTTPStatus.NOT_FOUND, "Unknown invalid message", {}),
    UnknownGroup: (HTTPStatus.NOT_FOUND, "Unknown group", {}),
    UnknownSubscription: (HTTPStatus.NOT_FOUND, "Unknown subscription", {}),
    UnknownDependency: (HTTPStatus.NOT_FOUND, "Unknown dependency", {}),
    UnknownTaskMessage: (HTTPStatus.NOT_FOUND, "Unknown task", {}),
    UnknownReplay: (HTTPStatus.NOT_FOUND, "Unknown replay", {}),
    NothingToReplay: (HTTPStatus.NOT_FOUND, "Nothing to replay", {}),
    NothingToDiscard: (HTTPStatus.NOT_FOUND, "Nothing to discard", {}),
    UnknownView: (HTTPStatus.NOT_FOUND, "Unknown view", {}),
    TooManyViews: (HTTPStatus.CONFLICT, "Too many views", {}),
    ReplayIsOver: (HTTPStatus.CONFLICT, "Replay is over", {}),
}


def problem_of(error: Exception) -> Problem:
    """Return the problem for `error`; that of an unforeseen error does not reveal its cause."""
    if isinstance(error, HTTPException):
        return _http_problem(error)
    if found := _wrong_fields(error):
        return problem_of(InvalidInput(FieldError(*each) for each in found[:MAX_ERRORS]))
    if isinstance(error, OrderError):
        named = (FieldError(error.field, str(error)),) if error.field else ()
        return Problem(error.status, error.title, str(error), named)
    if isinstance(error, AlreadyReplaying):
        links = {"replay": f"/api/v1/replays/{error.number}"}
        return Problem(HTTPStatus.CONFLICT, "Already replaying", str(error), links=links)
    for kind in type(error).__mro__:
        if kind in TABLE:
            status, title, headers = TABLE[kind]
            return Problem(status, title, str(error), tuple(getattr(error, "errors", ())), headers)
    if is_input_fault(error):
        refused = refused_fields()[:MAX_ERRORS]
        wrong = tuple(FieldError(name[:200], NOT_TAKEN) for name in refused)
        return Problem(422, "Invalid input", NOT_TAKEN, wrong)
    if unavailable_reason(error):
        return DATABASE_CANNOT_SAVE
    return DATABASE_BUSY if is_transient(error) or is_cancelled(error) else INTERNAL_ERROR


def _wrong_fields(error: Exception) -> list[tuple[str, str]]:
    """Return the fields that an error of the bus is about, with its words for each."""
    if isinstance(error, InvalidPayload):
        return error.errors
    of_form = has_request_context() and sent_form()
    fields = {UnknownAnswer: "answer", ReasonMissing: "reason" if of_form else "why"}
    return [(fields[type(error)], str(error))] if type(error) in fields else []


def _http_problem(error: HTTPException) -> Problem:
    headers = {
        name: value
        for name, value in error.get_headers()
        if name.lower() not in ("content-type", "content-length")
    }
    return Problem(error.code or 500, error.name, error.description, headers=headers)


def invalid(error: ValidationError) -> InvalidInput:
    """Return pydantic's error as `InvalidInput`, without the input itself."""
    details = error.errors(include_url=False, include_context=False, include_input=False)
    errors = [
        FieldError(".".join(map(str, each["loc"]))[:200] or "body", reason_of(each))
        for each in details[:MAX_ERRORS]
    ]
    malformed = any(each["type"] == "json_invalid" for each in details)
    return MalformedJson(errors) if malformed else InvalidInput(errors)


def raise_invalid(error: ValidationError) -> NoReturn:
    """Raise pydantic's error as `InvalidInput`, for the one error handler."""
    raise invalid(error) from error


def render(error: Exception) -> Response:
    """Render any error: as problem+json, or as a page if a browser asked for one."""
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
    if problem in (DATABASE_CANNOT_SAVE, DATABASE_BUSY, INTERNAL_ERROR):
        # The database's own words are enough if it cannot save: the traceback adds nothing.
        cause: dict[str, Any] = (
            {"database": describe_error(error)}
            if problem is DATABASE_CANNOT_SAVE
            else {"exc_info": error}
        )
        log.error(
            "request.failed",
            path=request.path,
            method=request.method,
            status=problem.status,
            **cause,
        )


def _wants_page() -> bool:
    if request.path.startswith("/api/"):
        return False
    offered = ["application/json", MEDIA_TYPE, "text/html"]
    return request.accept_mimetypes.best_match(offered) == "text/html"


def _page(problem: Problem) -> Response:
    return Response(render_template("problem.html", problem=problem), mimetype="text/html")


def init_app(app: Flask) -> None:
    """Let `render` answer every error of `app`."""
    app.register_error_handler(Exception, render)
