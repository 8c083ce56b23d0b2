"""The context of a request: actor, correlation and trace, and checks that precede every view."""

import codecs
import re
from contextlib import ExitStack
from typing import Any
from urllib.parse import unquote_to_bytes
from uuid import UUID

from flask import Flask, Request, Response, g, request
from uuid_utils.compat import uuid7
from werkzeug.exceptions import RequestEntityTooLarge, UnsupportedMediaType

from events import Actor, Context, acting, observers, traceparents
from events.inputs import DuplicateKey, only_text, refuse_duplicate_keys
from web.client_address import client_address
from web.errors import MAX_ERRORS, FieldError, InvalidInput, MalformedJson
from web.origins import refuse_foreign_origins
from web.public_address import refuse_bad_address
from web.security import ops_user
from web.settings import settings

MAX_AGENT = 300
CORRELATION_HEADER = "X-Correlation-Id"
_TENANT = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)

# Windows writes them. No JSON and no UTF-8 text of a field begins with these bytes.
_MARKS = {b"\xef\xbb": "a", codecs.BOM_UTF16_LE: "a UTF-16", codecs.BOM_UTF16_BE: "a UTF-16"}


class JsonRequest(Request):
    """A request that returns its JSON body as text, for pydantic to parse.

    Python's own parser overflows on deep nesting, accepts lone surrogates and lets the last of two
    equal keys win.
    """

    def get_json(self, force: bool = False, silent: bool = False, cache: bool = True) -> Any:
        """Return the JSON text; an empty body is `{}`. Raises 413, 415 and `MalformedJson`."""
        body = self.get_data()
        if not body:
            return "{}"
        if (
            self.content_length is None
            and self.max_content_length is not None
            and len(body) >= self.max_content_length
        ):
            # Werkzeug truncates a longer body of unknown length without an error.
            raise RequestEntityTooLarge
        if not self.is_json:
            raise UnsupportedMediaType("the body must be sent as application/json")
        if self.headers.get("Content-Encoding", "").strip().casefold() not in ("", "identity"):
            raise UnsupportedMediaType("the body must be sent without Content-Encoding")
        text = _decoded(body)
        try:
            refuse_duplicate_keys(text)
        except DuplicateKey as error:
            raise InvalidInput([FieldError(error.key[:100], "given twice")]) from None
        return text


def _decoded(body: bytes) -> str:
    if found := _MARKS.get(body[:2]):
        fix = f"{found} byte order mark at its begin; send UTF-8 without one"
        raise MalformedJson([FieldError("body", fix)])
    try:
        return body.decode()
    except UnicodeDecodeError as error:
        raise MalformedJson([FieldError("body", f"not UTF-8 at byte {error.start}")]) from error


def enter_context() -> None:
    """Set the context that every event of this request inherits."""
    g.correlation_id = _correlation_id()
    refuse_bad_address()
    refuse_foreign_origins()
    refuse_other_encodings()
    refuse_duplicate_parameters()
    actor = Actor(
        user=ops_user(),
        tenant=_tenant(request.headers.get("X-Tenant-Id")),
        ip=client_address(request.remote_addr),
        agent=_agent(request.headers.get("User-Agent")),
    )
    traceparent = traceparents.checked(request.headers.get("traceparent"))
    g.context = ExitStack()
    g.context.enter_context(
        acting(
            Context(
                actor=actor,
                correlation_id=g.correlation_id,
                traceparent=traceparent,
                role=g.ops_role or "",
            )
        )
    )
    g.context.enter_context(
        observers.requesting(f"{request.method} {request.url_rule or ''}".strip(), traceparent)
    )


def leave_context(_: BaseException | None) -> None:
    """Reset the context at the end of the request."""
    if "context" in g:
        g.pop("context").close()


def set_correlation_header(response: Response) -> Response:
    """Return the id of the request to the client."""
    response.headers[CORRELATION_HEADER] = str(g.correlation_id)
    return response


def refuse_other_encodings() -> None:
    """Refuse a form that is not UTF-8: Werkzeug takes `Zo%EB` for what was typed."""
    if request.mimetype != "application/x-www-form-urlencoded":
        return
    wrong = [pair for pair in request.get_data().split(b"&") if not _is_utf8(pair)]
    if wrong:
        names = [unquote_to_bytes(pair.partition(b"=")[0]) for pair in wrong[:MAX_ERRORS]]
        raise InvalidInput(FieldError(ascii(name)[2:-1][:100], "not UTF-8") for name in names)


def _is_utf8(pair: bytes) -> bool:
    try:
        unquote_to_bytes(pair).decode()
    except UnicodeDecodeError:
        return False
    return True


def refuse_duplicate_parameters() -> None:
    """Refuse a query with two values for one name: parsers differ in which of them they take."""
    duplicates = [
        FieldError(name[:100], "given twice")
        for name, values in request.args.lists()
        if len(values) > 1
    ]
    if duplicates:
        raise InvalidInput(duplicates[:MAX_ERRORS])


def _tenant(sent: str | None) -> str | None:
    if sent is not None and not _TENANT.fullmatch(sent):
        rule = "up to 64 letters, digits, '.', '_' and '-', beginning with a letter or digit"
        raise InvalidInput([FieldError("X-Tenant-Id", rule)])
    return sent


def _correlation_id() -> UUID:
    for name in (CORRELATION_HEADER, "X-Request-Id"):
        sent = request.headers.get(name, "")
        if _UUID.fullmatch(sent):
            return UUID(sent)
    return uuid7()


def _agent(sent: str | None) -> str | None:
    return only_text(sent)[:MAX_AGENT] or None if sent else None


def init_app(app: Flask) -> None:
    """Set the context of each request, and limit its body."""
    app.request_class = JsonRequest
    app.config["MAX_CONTENT_LENGTH"] = settings().max_body
    app.before_request(enter_context)
    app.after_request(set_correlation_header)
    app.teardown_request(leave_context)
