"""The Valkey that `up` brings along, through its front door: emptied, and given messages of any shape."""

import base64
import json
from pathlib import Path
from typing import Any
from uuid import uuid4

from redis import Redis
from redis.backoff import NoBackoff
from redis.retry import Retry


class Valkey:
    """The server on this unix socket."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def _client(self) -> Redis:
        return Redis(
            unix_socket_path=str(self._path), socket_timeout=5.0, retry=Retry(NoBackoff(), 0)
        )

    def empty(self) -> None:
        """Forget everything it holds."""
        with self._client() as client:
            client.flushall()

    def put(self, queue: str, body: bytes, headers: dict[str, Any]) -> None:
        """Put a message of any shape on a queue, in kombu's wrapping."""
        properties = {
            "body_encoding": "base64",
            "delivery_tag": str(uuid4()),
            "delivery_mode": 2,
            "delivery_info": {"exchange": queue, "routing_key": queue},
            "priority": 0,
        }
        wrapped = {
            "body": base64.b64encode(body).decode(),
            "content-type": "application/json",
            "content-encoding": "utf-8",
            "headers": headers,
            "properties": properties,
        }
        self.put_raw(queue, json.dumps(wrapped).encode())

    def put_raw(self, queue: str, item: bytes) -> None:
        """Put something on a queue that is no message at all."""
        with self._client() as client:
            client.lpush(queue, item)
