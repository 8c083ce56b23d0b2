"""The refusal of calls in a dry run: each is noted, and the handler goes on with an example answer.

A gateway is wrapped by `outside`, which does nothing but in a dry run. What calls the outside in
another way is refused by an audit hook of the interpreter, which cannot be removed: so a dry run
with the hook has a process of its own.
"""

import inspect
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, TypeVar, cast

from pydantic_core import to_jsonable_python

from events.dry_runs.result import CallOut
from events.errors import TidingsError

T = TypeVar("T")
Examples = Mapping[str, Mapping[str, Any]]  # the answers of each method, by their names
REFUSED = ("socket.connect", "socket.sendto", "subprocess.Popen", "os.system", "os.posix_spawn")


class CallRefused(TidingsError):
    """A dry run makes no call, and knows no answer to this one."""

    def __init__(self, what: str) -> None:
        super().__init__(f"{what} was refused in the dry run, and has no example answer")


class UnknownAnswer(TidingsError):
    """No example answer of a call has the name that was chosen."""

    def __init__(self, name: str, known: list[str]) -> None:
        super().__init__(f"there is no answer {name!r}; there are: {', '.join(known)}")


class Calls:
    """The calls of a dry run, and the name of the answer that was chosen for them."""

    def __init__(self, answer: str | None = None) -> None:
        self.made: list[CallOut] = []
        self._chosen = answer

    def note(
        self, service: str, method: str, arguments: Mapping[str, Any], answers: Mapping[str, Any]
    ) -> Any:
        """Note a call and return its answer. Raises `CallRefused` and `UnknownAnswer`."""
        names = list(answers)
        name = self._chosen if self._chosen is not None else next(iter(names), None)
        known = plain(dict(arguments))
        found = name if name in answers else None
        self.made.append(
            CallOut(service=service, method=method, arguments=known, answer=found, answers=names)
        )
        if not names:
            raise CallRefused(f"{service}.{method}")
        if found is None:
            raise UnknownAnswer(str(name), names)
        return answers[found]


_calls: ContextVar[Calls | None] = ContextVar("calls", default=None)


@contextmanager
def refusing(calls: Calls) -> Iterator[None]:
    """Note the calls of the block instead of making them."""
    token = _calls.set(calls)
    try:
        yield
    finally:
        _calls.reset(token)


def outside(service: str, gateway: T, examples: Examples) -> T:
    """Return the gateway, or in a dry run one that makes no call and gives example answers."""
    calls = _calls.get()
    return gateway if calls is None else cast("T", _Refusing(service, gateway, examples, calls))


class _Refusing:
    def __init__(self, service: str, gateway: Any, examples: Examples, calls: Calls) -> None:
        self._service, self._gateway, self._examples = service, gateway, examples
        self._calls = calls

    def __getattr__(self, method: str) -> Callable[..., Any]:
        signature = inspect.signature(getattr(self._gateway, method))
        answers = self._examples.get(method, {})

        def refuse(*args: Any, **kwargs: Any) -> Any:
            arguments = signature.bind(*args, **kwargs).arguments
            return self._calls.note(self._service, method, arguments, answers)

        return refuse


def install_hook() -> None:
    """Refuse connections and new processes for good, as far as Python makes them."""
    sys.addaudithook(_refuse)


def _refuse(name: str, arguments: tuple[Any, ...]) -> None:
    calls = _calls.get()
    if calls is not None and name in REFUSED:
        service, _, method = name.partition(".")
        to = [str(each)[:300] for each in arguments[-2:] if each is not None]
        calls.note(service, method, {"to": to}, {})


def plain(value: Any) -> Any:
    """Return a value as JSON has it, with the text of what JSON has not."""
    return to_jsonable_python(value, fallback=str, inf_nan_mode="strings", bytes_mode="base64")
