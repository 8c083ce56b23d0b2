"""Security: the ops login, the headers of every response, cookies and CSRF."""

import secrets
from collections.abc import Callable
from functools import wraps
from http import HTTPStatus
from typing import ParamSpec, TypeVar, cast

import structlog
from flask import Flask, Request, Response, g, request
from flask.sessions import SecureCookieSession, SecureCookieSessionInterface, SessionMixin
from flask_httpauth import HTTPBasicAuth  # type: ignore[import-untyped]
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

from tasks.ops_login import Login
from tasks.settings import settings as shop_settings
from web import failed_logins, logins, roles

REALM = "Tidings ops"
MESSAGES = "_flashes"  # as Flask names them in the session
MAX_MESSAGES = 5  # that wait for the next page
log = structlog.get_logger()
csrf = CSRFProtect()
auth = HTTPBasicAuth(realm=REALM)

P = ParamSpec("P")
R = TypeVar("R")


def require_ops(view: Callable[P, R]) -> Callable[P, R]:
    """Protect `view` by the ops login, with the role that `web.roles` declares for the address."""

    @wraps(view)
    def protected(*args: P.args, **kwargs: P.kwargs) -> R:
        if g.get("ops_role") is None:  # Flask-HTTPAuth lets every OPTIONS pass
            demand_login()
        roles.require_role()
        return view(*args, **kwargs)

    return cast("Callable[P, R]", auth.login_required(protected))


def operator_name() -> str:
    """Return the name of the operator behind a view that `require_ops` protects, for the audit."""
    return str(auth.current_user())


def ops_user() -> str | None:
    """Return the ops user whose login this request carries, if it carries one."""
    if "ops_user" not in g:
        login = _check_login()
        g.ops_user, g.ops_role = (login.user, login.role) if login else (None, None)
    user: str | None = g.ops_user
    return user


@auth.verify_password  # type: ignore[untyped-decorator]
def verify_login(_user: str, _password: str) -> str | None:
    """Return the name of the user whose login was checked when the request began."""
    return ops_user()


def _check_login() -> Login | None:
    """Return the login of `OPS_AUTH` that the request has, if it has one.

    A wrong one is counted and logged once, whatever the address: each would tell right from wrong.
    """
    if request.headers.get("Authorization", "").partition(" ")[0].lower() != "basic":
        return None
    sent = request.authorization  # None if it is not Base64 of UTF-8
    user = (sent.username if sent else None) or ""
    password = (sent.password if sent else None) or ""
    limited = failed_logins.is_limited()
    if not limited and (login := logins.matching(user, password)):
        return login
    g.login_limited = limited or not failed_logins.count()
    hidden = bool(password and password in user) or logins.hides(user)
    failed_logins.record(user, hidden=hidden, limited=g.login_limited)
    return None


def refuse_limited_login() -> None:
    """Raise 429 if the request has a login of a network with too many failed ones."""
    if g.get("login_limited"):
        raise failed_logins.too_many()


@auth.error_handler  # type: ignore[untyped-decorator]
def demand_login(_: int = HTTPStatus.UNAUTHORIZED) -> Response:
    """Answer 401 with a challenge for the ops login, or 429 after too many failed ones."""
    refuse_limited_login()
    raise Unauthorized(
        "This address needs the ops login (OPS_AUTH).",
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


def _headers(policy: ContentSecurityPolicy) -> list[tuple[str, str]]:
    secure = Secure(
        csp=policy,
        coop=CrossOriginOpenerPolicy().same_origin(),
        corp=CrossOriginResourcePolicy().same_origin(),
        permissions=PermissionsPolicy().camera().geolocation().microphone().payment(),
        # The token is in an order's address: other sites must not see it. `no-referrer` would do
        # that too, but browsers would then send our own forms with `Origin: null`.
        referrer=ReferrerPolicy().same_origin(),
        xcto=XContentTypeOptions().nosniff(),
        xfo=XFrameOptions().deny(),
    )
    return list(secure.headers.items())


STRICT_HEADERS = _headers(_policy())
# Swagger UI sets style attributes and has icons in its style sheet; scripts must still be files.
SWAGGER_HEADERS = _headers(
    _policy().style_src("'self'", "'unsafe-inline'").img_src("'self'", "data:")
)


def set_headers(response: Response) -> Response:
    """Set the security headers; what an operator is shown is stored nowhere."""
    if g.get("ops_user") and not (request.endpoint or "").endswith("static"):
        response.headers["Cache-Control"] = "no-store"
    swagger = request.path.startswith("/openapi")
    response.headers.extend(SWAGGER_HEADERS if swagger else STRICT_HEADERS)
    if request.is_secure:
        response.headers["Strict-Transport-Security"] = "max-age=31536000"
    return response


class SessionCookie(SecureCookieSessionInterface):
    """A session cookie that is marked Secure exactly if the request came over https."""

    def open_session(self, app: Flask, request: Request) -> SecureCookieSession | None:
        """Return the session; without its cookie, a new one without a look at the signature."""
        if self.get_cookie_name(app) not in request.cookies:
            return self.session_class()
        return super().open_session(app, request)

    def save_session(self, app: Flask, session: SessionMixin, response: Response) -> None:
        """Save it with its latest messages alone: a browser drops a cookie of more than 4 kB."""
        if len(session.get(MESSAGES, ())) > MAX_MESSAGES:
            session[MESSAGES] = session[MESSAGES][-MAX_MESSAGES:]
        super().save_session(app, session, response)

    def get_cookie_path(self, app: Flask) -> str:
        """Return the path prefix of the site, so that no other site of the host gets the cookie."""
        return request.script_root or "/"

    def get_cookie_secure(self, app: Flask) -> bool:
        """Return True if browsers may send the cookie over https only."""
        return request.is_secure


def init_app(app: Flask) -> None:
    """Give `app` its secret, its cookies and its headers."""
    app.secret_key = shop_settings().secret_key or _temporary_secret()
    app.session_interface = SessionCookie()
    app.config.update(
        SESSION_COOKIE_HTTPONLY=True,
        SESSION_COOKIE_SAMESITE="Lax",
        SESSION_COOKIE_NAME="tidings",
        WTF_CSRF_SSL_STRICT=False,  # it asks for a Referer; `web.origins` asks better
    )
    csrf.init_app(app)
    app.after_request(set_headers)


def _temporary_secret() -> str:
    log.warning(
        "secret.temporary",
        reason="SECRET_KEY is unset",
        effect="a form that was opened before a restart, or at another web process, is refused",
    )
    return secrets.token_hex(32)
