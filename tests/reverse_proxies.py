"""The proxies of the recipes in docs/proxy, in front of one web and one Flower, with TLS."""

import shutil
import socket
import subprocess
from pathlib import Path

from tests.servers import HANG, Process, free_port, missing, wait_until
from tests.tree import ROOT

RECIPES = ROOT / "docs/proxy"
NGINX = """
daemon off;
pid {home}/nginx.pid;
error_log stderr;
events {{}}
http {{
    access_log off;
    client_body_temp_path {home}/body;
    proxy_temp_path {home}/proxy;
    fastcgi_temp_path {home}/fastcgi;
    uwsgi_temp_path {home}/uwsgi;
    scgi_temp_path {home}/scgi;
    include {home}/site.conf;
}}
"""
CADDY = """{{
	admin off
	http_port {plain}
	https_port {port}
	default_bind 127.0.0.1
	storage file_system {home}
}}
"""


class ReverseProxy(Process):
    """A proxy with the recipe of its name, at `https://localhost:port/shop/`."""

    def __init__(self, name: str, home: Path, *, web: int, flower: int) -> None:
        home.mkdir()
        self.name, self.port, self.plain_port = name, free_port(), free_port()
        self.certificate = _new_certificate(home)
        command = self._nginx if name == "nginx" else self._caddy
        super().__init__(command(home, web, flower), home)

    @property
    def url(self) -> str:
        """The address of the site, as a browser sees it."""
        return f"https://localhost:{self.port}"

    def _nginx(self, home: Path, web: int, flower: int) -> list[str]:
        _write(
            home / "site.conf",
            RECIPES / "nginx.conf",
            {
                "listen 80;": f"listen 127.0.0.1:{self.plain_port};",
                "listen 443 ssl;": f"listen 127.0.0.1:{self.port} ssl;",
                "https://$host$request_uri": f"{self.url}$request_uri",
                "/etc/ssl/shop.example.pem": str(home / "site.pem"),
                "/etc/ssl/shop.example.key": str(home / "site.key"),
                "server_name shop.example": "server_name localhost",
                "127.0.0.1:8000": f"127.0.0.1:{web}",
                "127.0.0.1:5555": f"127.0.0.1:{flower}",
            },
        )
        (home / "nginx.conf").write_text(NGINX.format(home=home))
        return [_program("nginx"), "-p", str(home), "-c", str(home / "nginx.conf")]

    def _caddy(self, home: Path, web: int, flower: int) -> list[str]:
        _write(
            home / "Caddyfile",
            RECIPES / "Caddyfile",
            {
                "shop.example {": f"localhost {{\n\ttls {home / 'site.pem'} {home / 'site.key'}",
                "127.0.0.1:8000": f"127.0.0.1:{web}",
                "127.0.0.1:5555": f"127.0.0.1:{flower}",
            },
        )
        options = CADDY.format(home=home, plain=self.plain_port, port=self.port)
        recipe = home / "Caddyfile"
        recipe.write_text(options + recipe.read_text())
        return [_program("caddy"), "run", "--adapter", "caddyfile", "--config", str(recipe)]

    def start(self) -> None:
        """Start it and wait until it listens."""
        self.launch()
        wait_until(lambda: self._listens() or not self.running(), what=f"{self.name} to listen")
        assert self.running(), self.log()

    def _listens(self) -> bool:
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0


def _program(name: str) -> str:
    return (
        shutil.which(name)
        or shutil.which(name, path="/usr/sbin:/usr/bin")
        or missing(f"{name} (Debian's package)")
    )


def _write(file: Path, recipe: Path, changes: dict[str, str]) -> None:
    """Write a recipe with our ports and names; each must be in it."""
    text = recipe.read_text()
    for there, here in changes.items():
        assert there in text, f"{recipe.name} has no {there!r}"
        text = text.replace(there, here)
    file.write_text(text)


def _new_certificate(home: Path) -> Path:
    subject = ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"]
    files = ["-keyout", str(home / "site.key"), "-out", str(home / "site.pem")]
    key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2"]
    subprocess.run(
        [_program("openssl"), "req", "-x509", *key, *subject, *files],
        check=True,
        capture_output=True,
        timeout=HANG,
    )
    return home / "site.pem"
