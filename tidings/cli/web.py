"""`tidings web`: the HTTP API and the pages."""

import socket

import click

from tidings.all_settings import require_all_valid
from tidings.cli.parameters import WholeNumber
from tidings.web_server import SupervisedWebServer, WebServer, listen


@click.command()
@click.option(
    "--host",
    default="127.0.0.1",
    show_default=True,
    help="Address to listen on; 0.0.0.0 is every one of IPv4, :: also of IPv6.",
)
@click.option("--port", type=WholeNumber(0, 65535), default=8000, show_default=True)
@click.option("--workers", type=WholeNumber(1, 64), default=1, show_default=True, help="Processes.")
@click.option("--fd", type=int, hidden=True, help="Listening socket, of `tidings up`.")
def web(host: str, port: int, workers: int, fd: int | None) -> None:
    """Serve the HTTP API and the pages, until SIGINT or SIGTERM."""
    require_all_valid()
    if fd is None:
        WebServer(listen(host, port), workers=workers).run()
    else:
        SupervisedWebServer(socket.socket(fileno=fd)).run()
