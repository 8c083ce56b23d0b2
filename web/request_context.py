"""What is taken from a request before any endpoint sees it: who, where from, following what; and its body as text."""

import json
import re
from contextlib import ExitStack
from ipaddress import ip_address
from typing import Any
from uuid import UUID

from flask import Flask, Request, Response, g, request
from uuid_utils.compat import uuid7
from werkzeug.exceptions import RequestEntityTooLarge, UnsupportedMediaType
from werkzeug.middleware.proxy_fix import ProxyFix

from events import Actor, Context, acting
from tasks.settings import settings as shop_settings
from web.errors import MOST_ERRORS, FieldError, ForeignOrigin, InvalidInput, MalformedJson
from web.security import ops_user
from web.settings import settings

AGENT_LENGTH = 300
CORRELATION = "X-Correlation-Id"
_TENANT = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)
_TRACEPARENT = re.compile(
    r"(?!ff)[0-9a-f]{2}-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}"
)
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")


class JsonRequest(Request):
    """A request whose JSON body is handed on as text, for pydantic to parse.

    Python's own parser overflows on deep nesting, takes lone surrogates and lets the last of two equal keys win.
    """

    def get_json(self, force: bool = False, silent: bool = False, cache: bool = True) -> Any:
        """The body as JSON text; no body is an empty object. Raises 413, 415 and, for what is no text, `MalformedJson`."""
        body = self.get_data()
        if not body:
            return "{}"
        if (
            self.content_length is None
            and self.max_content_length is not None
            and len(body) >= self.max_content_length
        ):
            raise RequestEntityTooLarge  # werkzeug cuts a longer body of unknown length off without a word
        if not self.is_json:
            raise UnsupportedMediaType("the body must be sent as application/json")
        try:
            text = body.decode()
        except UnicodeDecodeError as error:
            raise MalformedJson([FieldError("body", f"not UTF-8 at byte {error.start}")]) from error
        _refuse_double_keys(text)
        return text


def _refuse_double_keys(text: str) -> None:
    try:
        json.loads(text, object_pairs_hook=_once)
    except (ValueError, RecursionError):
        return  # pydantic says it better


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in pairs:
        if name in found:
            raise InvalidInput([FieldError(name[:100], "given twice")])
        found[name] = value
    return found


def capture() -> None:
    """Set the context that every event of this request inherits."""
    g.correlation_id = _correlation()
    refuse_foreign_origins()
    refuse_double_parameters()
    actor = Actor(
        user=ops_user(),
        tenant=_tenant(request.headers.get("X-Tenant-Id")),
        ip=_address(request.remote_addr),
        agent=_agent(request.headers.get("User-Agent")),
    )
    traceparent = _traceparent(request.headers.get("traceparent", ""))
    g.context = ExitStack()
    g.context.enter_context(
        acting(Context(actor=actor, correlation_id=g.correlation_id, traceparent=traceparent))
    )


def release(_: BaseException | None) -> None:
    """Forget the request's context."""
    if "context" in g:
        g.pop("context").close()


def echo(response: Response) -> Response:
    """Tell the client under which id its request can be found."""
    response.headers[CORRELATION] = str(g.correlation_id)
    return response


def refuse_foreign_origins() -> None:
    """Refuse a change that a page of another site asks for: a browser adds a Basic login to it by itself."""
    if request.method in ("GET", "HEAD", "OPTIONS"):
        return
    origin = request.headers.get("Origin")
    if origin is None or request.headers.get("Sec-Fetch-Site") == "same-origin":
        return
    if origin.partition("://")[2] != request.host:
        raise ForeignOrigin(_CONTROL.sub("", origin)[:100])


def refuse_double_parameters() -> None:
    """Refuse a query that says two things at once, which each reader would take differently."""
    double = [
        FieldError(name[:100], "given twice")
        for name, values in request.args.lists()
        if len(values) > 1
    ]
    if double:
        raise InvalidInput(double[:MOST_ERRORS])


def _tenant(sent: str | None) -> str | None:
    if sent is not None and not _TENANT.fullmatch(sent):
        raise InvalidInput(
            [
                FieldError(
                    "X-Tenant-Id",
                    "up to 64 letters, digits, '.', '_' and '-', beginning with a letter or digit",
                )
            ]
        )
    return sent


def _correlation() -> UUID:
    for name in (CORRELATION, "X-Request-Id"):
        sent = request.headers.get(name, "")
        if _UUID.fullmatch(sent):
            return UUID(sent)
    return uuid7()


def _traceparent(sent: str) -> str | None:
    return sent if _TRACEPARENT.fullmatch(sent) else None


def _agent(sent: str | None) -> str | None:
    return _CONTROL.sub("", sent)[:AGENT_LENGTH] or None if sent else None


def _address(sent: str | None) -> str | None:
    try:
        return str(ip_address((sent or "").partition("%")[0]))
    except ValueError:
        return None


def init_app(app: Flask) -> None:
    """Capture the context of each request, limit its body, and trust as many proxies as the settings say."""
    app.request_class = JsonRequest
    app.config["MAX_CONTENT_LENGTH"] = settings().max_body
    proxies = shop_settings().trusted_proxies
    if proxies:
        app.wsgi_app = ProxyFix(app.wsgi_app, x_for=proxies, x_proto=proxies)  # type: ignore[method-assign]
    app.before_request(capture)
    app.after_request(echo)
    app.teardown_request(release)
