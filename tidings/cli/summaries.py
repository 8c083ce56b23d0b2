"""The summary of each command for `tidings --help`, which imports none of them."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

SUMMARIES: Final[Mapping[str, str]] = MappingProxyType(
    {
        "alerts": "Show what is wrong by the rules of the alerts; without a command, list it.",
        "alive": "Examine whether a relay or worker of this host has a heartbeat.",
        "audit": "List what operators and customers did; without a command, list the latest acts.",
        "backfill": "Start a job that delivers to a subscription the events older than it, "
        "of its types.",
        "backup": "Copy the SQLite database to FILE while everything runs, and check the copy.",
        "breakers": "Operate the circuit breakers of the dependencies; without a command, "
        "list them.",
        "catalog": "Show every event with its versions, its publisher and its subscribers, "
        "and their retries.",
        "chaos": "Inject faults while orders are placed, and audit the result.",
        "contracts": "Compare the events with the committed contracts, and publish them as "
        "AsyncAPI.",
        "dead-letters": "List, show, export, replay and discard dead letters; run their "
        "handlers without effect.",
        "demo": "Place mixed orders against a running shop, wait until they end, and print "
        "a summary.",
        "doctor": "Examine this deployment: database, broker, processes, backlog, secrets, Flower.",
        "doubts": "List what the gateways did and a restored log does not know.",
        "erase": "Erase a customer's names, addresses, messages and origin.",
        "events": "List and show the events of the log.",
        "invalid-messages": "List and discard the messages on our queues that Tidings did "
        "not send.",
        "migrate": "Bring the database up to date: tables, first products, subscriptions.",
        "orders": "List orders, and those that are stuck with what they wait for; cancel "
        "or replay one.",
        "pause": "Stop the sends of a subscription; its backlog is kept.",
        "processes": "List the live processes; workers tell the version of their application.",
        "products": "List, add and change the products of the shop.",
        "prune": "Delete dead letters and invalid messages and, on request, handled "
        "deliveries and events.",
        "queues": "Show the backlog, the speed and the state of every queue.",
        "relay": "Turn events into deliveries and send due deliveries, until SIGINT or SIGTERM.",
        "replays": "Replay dead letters as jobs; without a command, list them.",
        "restart": "Restart everything under `tidings up` with the changed code.",
        "restore": "Replace the SQLite database by the backup FILE; nothing may run.",
        "resume": "Send the backlog of a paused subscription and continue.",
        "sandbox": "Break or restore one of the built-in gateways, for all processes at once.",
        "schedules": "List the schedules, the next ones first.",
        "stats": "Show the backlog and the speed of every subscription, and what it did so far.",
        "subscriptions": "List and remove subscriptions; without a command, list them.",
        "task": "Show the deliveries of a task, by its id as Flower shows it, in their states now.",
        "trace": "Show where the time of an order went, by its number or id.",
        "up": "Run everything on this machine: broker, relay, workers, web, Flower, mail sink.",
        "views": "Operate the saved views of events and dead letters; without a command, "
        "list them.",
        "web": "Serve the HTTP API and the pages, until SIGINT or SIGTERM.",
    }
)
