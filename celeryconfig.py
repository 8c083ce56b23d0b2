"""Celery's settings, read when the app first needs them; docs/decisions.md has the reasons."""

import ssl

from events.addresses import is_amqp, tls_hosts
from events.environment import exit_if_wrong
from events.settings import settings
from events.subscriptions import registered
from events.transport import queues
from events.transport.consumer import Consumer
from events.transport.prefork import TaskPool

exit_if_wrong()  # for the commands of Celery and Flower; those of `tidings` have looked before

_amqp = is_amqp(settings().broker_url)
_hosts = tls_hosts(settings().broker_url)

broker_url = settings().broker_url
# kombu's own defaults accept any certificate with rediss://, and any name in it with amqps://.
broker_use_ssl: dict[str, object] | bool = False
if _hosts and _amqp:
    broker_use_ssl = {"cert_reqs": ssl.CERT_REQUIRED}
    if len(set(_hosts)) == 1:
        broker_use_ssl["server_hostname"] = _hosts[0]
elif _hosts:
    broker_use_ssl = {"ssl_cert_reqs": ssl.CERT_REQUIRED}
accept_content = ["json"]
task_serializer = result_serializer = event_serializer = "json"
timezone = "UTC"

# A mistyped queue is an error. The queues of ordinary tasks are listed beside those of the
# subscriptions; what a delivery needs is set on its task (`events.transport.worker`).
_queues_of_ordinary_tasks = ("celery",)  # the default of `delay`
task_default_queue = _queues_of_ordinary_tasks[0]
task_create_missing_queues = False
task_queues = queues(
    (*(each.queue for each in registered().values()), *_queues_of_ordinary_tasks), quorum=_amqp
)

worker_consumer = Consumer
worker_pool = TaskPool  # `--pool` selects another
worker_prefetch_multiplier = 1
worker_disable_prefetch = not _amqp
worker_max_tasks_per_child = 1000
worker_max_memory_per_child = 300_000  # kB
worker_send_task_events = True
worker_hijack_root_logger = False
worker_redirect_stdouts = False
worker_cancel_long_running_tasks_on_connection_loss = False
worker_soft_shutdown_timeout = settings().task_time_limit
worker_enable_soft_shutdown_on_idle = False

broker_connection_retry_on_startup = True
broker_connection_max_retries = None
broker_channel_error_retry = True
broker_heartbeat = 30
broker_transport_options = (
    {"confirm_publish": False, "read_timeout": 30, "write_timeout": 30, "connect_timeout": 5}
    if _amqp
    else {
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
)
