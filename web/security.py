"""Who may do what: the ops login, the headers of every answer, cookies, and the shop's protection against forged forms."""

import hmac
import secrets
from collections.abc import Callable
from typing import ParamSpec, TypeVar, cast

import structlog
from flask import Flask, Response, g, request
from flask.sessions import SecureCookieSessionInterface
from flask_httpauth import HTTPBasicAuth  # type: ignore[import-untyped]
from flask_limiter import Limiter
from flask_wtf.csrf import CSRFProtect
from secure import (
    ContentSecurityPolicy,
    CrossOriginOpenerPolicy,
    CrossOriginResourcePolicy,
    PermissionsPolicy,
    ReferrerPolicy,
    Secure,
    XContentTypeOptions,
    XFrameOptions,
)
from werkzeug.datastructures import WWWAuthenticate
from werkzeug.exceptions import Unauthorized

from tasks.settings import settings as shop_settings
from web.settings import settings

REALM = "Tidings ops"
log = structlog.get_logger()
csrf = CSRFProtect()
auth = HTTPBasicAuth(realm=REALM)

P = ParamSpec("P")
R = TypeVar("R")


def require_ops(view: Callable[P, R]) -> Callable[P, R]:
    """Let only who has the ops login into `view`."""
    return cast("Callable[P, R]", auth.login_required(view))


def who() -> str:
    """The name of the ops user of this request, for the audit."""
    return str(auth.current_user())


def ops_user() -> str | None:
    """The ops user whose login this request carries, if it does."""
    if "ops_user" not in g:
        sent = request.authorization
        basic = sent is not None and sent.type == "basic"
        g.ops_user = verify(sent.username or "", sent.password or "") if sent and basic else None
    found: str | None = g.ops_user
    return found


@auth.verify_password  # type: ignore[untyped-decorator]
def verify(user: str, password: str) -> str | None:
    """The user's name if this is the login of `OPS_AUTH`; nobody's is when that is unset."""
    expected = shop_settings().ops_auth
    given = f"{user}:{password}".encode(errors="replace")
    matches = hmac.compare_digest(given, (expected or secrets.token_hex()).encode())
    return user if expected and matches else None


@auth.error_handler  # type: ignore[untyped-decorator]
def refuse(_: int) -> Response:
    """Ask for the ops login."""
    raise Unauthorized(
        "This needs the ops login (OPS_AUTH).",
        www_authenticate=WWWAuthenticate("basic", {"realm": REALM}),
    )


def _policy() -> ContentSecurityPolicy:
    return (
        ContentSecurityPolicy()
        .default_src("'self'")
        .base_uri("'none'")
        .form_action("'self'")
        .frame_ancestors("'none'")
        .object_src("'none'")
    )


def _headers(policy: ContentSecurityPolicy) -> Secure:
    return Secure(
        csp=policy,
        coop=CrossOriginOpenerPolicy().same_origin(),
        corp=CrossOriginResourcePolicy().same_origin(),
        permissions=PermissionsPolicy().camera().geolocation().microphone().payment(),
        # The token is in an order's address; other sites never see it, and our own forms keep their Origin header.
        referrer=ReferrerPolicy().same_origin(),
        xcto=XContentTypeOptions().nosniff(),
        xfo=XFrameOptions().deny(),
    )


STRICT = _headers(_policy())
# Swagger UI writes style attributes and carries its icons in the style sheet; scripts stay our own files.
SWAGGER = _headers(_policy().style_src("'self'", "'unsafe-inline'").img_src("'self'", "data:"))


def protect(response: Response) -> Response:
    """Set the security headers."""
    chosen = SWAGGER if request.path.startswith("/openapi") else STRICT
    response.headers.update(chosen.headers)
    if request.is_secure:
        response.headers["Strict-Transport-Security"] = "max-age=31536000"
    return response


class SessionCookie(SecureCookieSessionInterface):
    """A session cookie that is marked Secure exactly when the request came over https."""

    def get_cookie_secure(self, app: Flask) -> bool:
        """Whether the cookie may travel over https only."""
        return request.is_secure


limiter = Limiter(
    key_func=lambda: request.remote_addr or "unknown", storage_uri="memory://", headers_enabled=True
)


def order_limit() -> str:
    """How many orders one address may place; asked only while `RATE_LIMIT` is set."""
    return str(settings().rate_limit)


def init_app(app: Flask) -> None:
    """Give `app` its secret, its cookies, its headers and its limits."""
    app.secret_key = shop_settings().secret_key or _made_up_secret()
    app.session_interface = SessionCookie()
    app.config.update(
        SESSION_COOKIE_HTTPONLY=True, SESSION_COOKIE_SAMESITE="Lax", SESSION_COOKIE_NAME="tidings"
    )
    app.config["RATELIMIT_ENABLED"] = settings().rate_limit is not None
    csrf.init_app(app)
    limiter.init_app(app)
    app.after_request(protect)


def _made_up_secret() -> str:
    log.warning(
        "SECRET_KEY is unset: forms that are open now are refused after a restart, and by any other web process"
    )
    return secrets.token_hex(32)
