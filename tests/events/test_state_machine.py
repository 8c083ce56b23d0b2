"""A state machine of random faults: in any order, a done delivery had its effect once."""

from collections import Counter
from contextlib import suppress

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from sqlalchemy import and_, delete, event, select
from sqlalchemy.orm import Session

from events import Database, Retry, clock, reading, suspects, transaction
from events.admin import replays
from events.audit_tables import AuditEntry
from events.dispatch import dispatch
from events.errors import AlreadyReplaying, NothingToReplay
from events.messages import Message
from events.relay.sending import unmark_sent
from events.tables import Attempt, Delivery, LogEntry
from events.testing import InMemoryTransport, ManualClock
from tests.events.sample import Mark, Noted, Replied, new_subscription, note, send
from tests.events.test_suspects import Killed


class Handlers:
    """Two handlers that work, fail or kill their worker, as the state machine sets it."""

    behaviour = "work"

    def mark(self, event: Noted, session: Session) -> Replied:
        session.add(Mark(what=f"notes {event.text}"))
        self.act()
        return Replied(text=event.text)

    def call(self, event: Noted, key: str) -> str:
        self.act()
        return key

    def record(self, event: Noted, session: Session, answer: str) -> None:
        session.add(Mark(what=f"calls {event.text}"))
        self.act()

    def act(self) -> None:
        if self.behaviour == "fail":
            raise ValueError("as the state machine sets it")
        if self.behaviour == "die":
            raise Killed


class Deliveries(RuleBasedStateMachine):
    """Deliveries with a broker and workers that fail in every way."""

    def __init__(self) -> None:
        super().__init__()
        self.time, self.handlers = ManualClock(), Handlers()
        clock.follow(self.time)
        with transaction() as session:
            for table in (Attempt, Delivery, LogEntry, Mark, AuditEntry):
                session.execute(delete(table))
        policy = Retry(attempts=2, first=1, cap=1)
        notes = new_subscription(self.handlers.mark, batch=3, retry=policy)
        calls = new_subscription(
            self.handlers.record, call=self.handlers.call, name="calls.record", retry=policy
        )
        self.subscriptions = {each.name: each for each in (notes, calls)}
        self.broker = InMemoryTransport()
        self.consumed: list[Message] = []
        self.published = 0

    def teardown(self) -> None:
        self.all_end_as_done()
        clock.follow(None)

    @rule(count=st.integers(1, 4))
    def publish(self, count: int) -> None:
        note(*(str(self.published + number) for number in range(count)))
        self.published += count

    @rule(seconds=st.sampled_from([0.5, 5.0, 60.0]))
    def the_relay_sends(self, seconds: float) -> None:
        self.time.advance(seconds)
        self.broker.send(send(*self.subscriptions.values()))

    @precondition(lambda self: self.broker.ready)
    @rule(
        data=st.data(),
        behaviour=st.sampled_from(["work", "work", "fail", "die"]),
        redelivered=st.booleans(),
    )
    def a_worker_handles_one(self, data: st.DataObject, behaviour: str, redelivered: bool) -> None:
        message = self.broker.ready.pop(data.draw(st.integers(0, len(self.broker.ready) - 1)))
        self.handle(message, behaviour, redelivered=redelivered)
        self.consumed.append(message)

    @precondition(lambda self: self.consumed)
    @rule(data=st.data(), behaviour=st.sampled_from(["work", "fail", "die"]))
    def an_old_message_is_redelivered(self, data: st.DataObject, behaviour: str) -> None:
        self.handle(
            self.consumed[data.draw(st.integers(0, len(self.consumed) - 1))],
            behaviour,
            redelivered=True,
        )

    @precondition(lambda self: self.broker.ready)
    @rule(data=st.data())
    def the_broker_loses_one(self, data: st.DataObject) -> None:
        self.consumed.append(
            self.broker.ready.pop(data.draw(st.integers(0, len(self.broker.ready) - 1)))
        )

    @precondition(lambda self: self.broker.ready)
    @rule()
    def the_broker_refuses_messages_that_arrived(self) -> None:
        with transaction() as session:
            unmark_sent(session, self.broker.ready)

    @rule(name=st.sampled_from(["notes.mark", "calls.record"]))
    def the_relay_marks_all_as_lost(self, name: str) -> None:
        with transaction() as session:
            suspects.mark_lost(session, and_(Delivery.subscription == name))

    @rule()
    def the_operator_replays(self) -> None:
        with suppress(NothingToReplay, AlreadyReplaying), transaction() as session:
            replays.start(session, who="ada", why="test", everything=True)

    def handle(self, message: Message, behaviour: str, *, redelivered: bool) -> None:
        self.handlers.behaviour = behaviour
        try:
            dispatch(
                self.subscriptions[message.subscription],
                message.event_ids,
                worker="w",
                suspect=redelivered,
            )
        except Killed:
            with transaction() as session:
                suspects.report_crash(
                    session,
                    message.subscription,
                    message.event_ids,
                    worker="w",
                    why="its process died",
                )

    @invariant()
    def a_done_delivery_had_its_effect_once_and_no_other_had_any(self) -> None:
        with reading() as session:
            done = session.execute(
                select(Delivery.queue, LogEntry.data["text"].as_string())
                .join(LogEntry, LogEntry.id == Delivery.event_id)
                .where(Delivery.state == "done")
            )
            expected = Counter(f"{queue} {text}" for queue, text in done)
            assert Counter(session.scalars(select(Mark.what))) == expected
            replies = Counter(
                f"notes {row.data['text']}"
                for row in session.scalars(select(LogEntry).where(LogEntry.type == Replied.type))
            )
            assert replies == Counter(
                {what: count for what, count in expected.items() if what.startswith("notes")}
            )

    def all_end_as_done(self) -> None:
        for _ in range(8):
            self.the_relay_sends(3600)
            while self.broker.ready:
                self.handle(self.broker.ready.pop(), "work", redelivered=False)
            self.the_relay_marks_all_as_lost("notes.mark")
            self.the_relay_marks_all_as_lost("calls.record")
            self.the_operator_replays()
        with reading() as session:
            assert set(session.scalars(select(Delivery.state))) <= {"done"}
            assert Counter(session.scalars(select(Mark.what))) == Counter(
                f"{q} {n}" for q in ("notes", "calls") for n in range(self.published)
            )


@pytest.mark.slow
def test_after_faults_in_any_order_a_done_delivery_had_its_effect_once(
    database: Database,
) -> None:
    database.close()
    event.listen(
        database.writer,
        "connect",
        lambda connection, _: connection.execute("PRAGMA synchronous=OFF"),
    )

    run_state_machine_as_test(
        Deliveries, settings=settings(max_examples=20, stateful_step_count=25, deadline=None)
    )
