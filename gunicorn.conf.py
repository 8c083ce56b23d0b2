"""What gunicorn reads when it is started in this folder; the hooks are in the package."""

from web.gunicorn_config import on_starting

__all__ = ["on_starting"]
