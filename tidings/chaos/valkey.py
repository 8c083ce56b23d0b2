"""Access to the Valkey server of `up`: emptying it, and messages of any shape."""

import base64
import json
from pathlib import Path
from typing import Any
from uuid import uuid4

from redis import Redis
from redis.backoff import NoBackoff
from redis.retry import Retry

SOCKET_TIMEOUT = 5.0  # seconds


class Valkey:
    """The server on a unix socket."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def _client(self) -> Redis:
        return Redis(
            unix_socket_path=str(self._path),
            socket_timeout=SOCKET_TIMEOUT,
            retry=Retry(NoBackoff(), 0),
        )

    def empty(self) -> None:
        """Delete all messages."""
        with self._client() as client:
            client.flushall()

    def put(self, queue: str, body: bytes, headers: dict[str, Any]) -> None:
        """Put a message of any shape on a queue, in kombu's format."""
        properties = {
            "body_encoding": "base64",
            "delivery_tag": str(uuid4()),
            "delivery_mode": 2,
            "delivery_info": {"exchange": queue, "routing_key": queue},
            "priority": 0,
        }
        message = {
            "body": base64.b64encode(body).decode(),
            "content-type": "application/json",
            "content-encoding": "utf-8",
            "headers": headers,
            "properties": properties,
        }
        self.put_raw(queue, json.dumps(message).encode())

    def put_raw(self, queue: str, item: bytes) -> None:
        """Put bytes on a queue that are not a message in kombu's format."""
        with self._client() as client:
            client.lpush(queue, item)
