"""Celery's settings for an app with subscriptions; what the app itself sets wins.

docs/decisions.md has the reasons.
"""

import ssl
from typing import Any

from events.addresses import is_amqp, tls_hosts
from events.environment import exit_if_wrong
from events.settings import settings
from events.transport.consumer import Consumer
from events.transport.prefork import TaskPool


def celery_defaults(broker_url: str | None) -> dict[str, Any]:
    """Return the settings for the broker of the app, or that of `BROKER_URL` if it names none.

    Wrong environment variables end this process with exit code 2.
    """
    exit_if_wrong()  # for the commands of Celery and Flower; those of `tidings` have looked before
    url = broker_url or settings().broker_url
    return {
        "broker_url": url,
        "broker_use_ssl": _tls(url),
        "accept_content": ["json"],
        "task_serializer": "json",
        "result_serializer": "json",
        "event_serializer": "json",
        "timezone": "UTC",
        **_worker(amqp=is_amqp(url)),
        "broker_connection_retry_on_startup": True,
        "broker_connection_max_retries": None,
        "broker_channel_error_retry": True,
        "broker_heartbeat": 30,
        "broker_transport_options": _AMQP_OPTIONS if is_amqp(url) else _REDIS_OPTIONS,
    }


def _worker(*, amqp: bool) -> dict[str, Any]:
    return {
        "worker_consumer": Consumer,
        "worker_pool": TaskPool,  # `--pool` selects another
        "worker_prefetch_multiplier": 1,
        "worker_disable_prefetch": not amqp,
        "worker_max_tasks_per_child": 1000,
        "worker_max_memory_per_child": 300_000,  # kB
        "worker_send_task_events": True,
        "worker_cancel_long_running_tasks_on_connection_loss": False,
        "worker_soft_shutdown_timeout": settings().task_time_limit,
        "worker_enable_soft_shutdown_on_idle": False,
    }


def _tls(url: str) -> dict[str, object] | bool:
    """Check certificates: kombu accepts any with rediss://, and any name in it with amqps://."""
    hosts = tls_hosts(url)
    if not hosts:
        return False
    if not is_amqp(url):
        return {"ssl_cert_reqs": ssl.CERT_REQUIRED}
    checked: dict[str, object] = {"cert_reqs": ssl.CERT_REQUIRED}
    return checked | ({"server_hostname": hosts[0]} if len(set(hosts)) == 1 else {})


_AMQP_OPTIONS = {
    "confirm_publish": False,
    "read_timeout": 30,
    "write_timeout": 30,
    "connect_timeout": 5,
}
_REDIS_OPTIONS = {
    # Celery's default. Above the longest countdown of an ordinary task, or it runs twice; the
    # deliveries of a dead worker are found by their lease.
    "visibility_timeout": 3600,
    "unacked_restore_interval": 5,
    "unacked_restore_throttle": 1,
    "socket_timeout": 10,
    "socket_connect_timeout": 5,
    "socket_keepalive": True,
    "health_check_interval": 10,
    "retry_on_timeout": False,
}
