"""Settings from environment variables: checked all together, and refused in words."""

import os
import re
import sys
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from errno import EINVAL
from pathlib import Path
from typing import Any, ClassVar, TypeVar, get_args

from pydantic import ValidationError, ValidationInfo, field_validator, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from events.errors import BadValue, TidingsError
from events.inputs import reason_of, unseen

WRONG_SETTINGS = 2  # the exit code of a process that was started with wrong settings
_MAX_SHOWN = 40  # characters of a wrong value
_QUOTES = ("'", '"')
_COMMENT = re.compile(r"\s#(?![0-9])")  # "Shop #1" is a name
_MAX_SECRET = 10_000  # bytes of a file with a secret


@dataclass(frozen=True)
class _SecretFile:
    """A file with the value of a setting. Its path is never shown: it may be the secret itself."""

    path: str
    is_given_twice: bool

    def read(self, variable: str) -> str:
        """Return the content without the line break at its end. Raises `BadValue`."""
        if self.is_given_twice:
            raise BadValue(f"is given by {variable} too", "unset one of the two")
        fix = f"let {variable} name a readable file with the value and nothing else"
        if self.path.startswith("~"):  # `check_path` would show nothing either
            raise BadValue(f"is to be in the file of {variable}, which begins with ~", fix)
        path = Path(self.path)
        try:
            if path.exists() and not path.is_file():
                raise OSError(EINVAL, "Not a regular file")  # a pipe would block
            with path.open("rb") as file:
                content = file.read(_MAX_SECRET + 1).decode()
        except OSError as error:
            reason = error.strerror or type(error).__name__
            raise BadValue(f"is to be in the file of {variable}: {reason}", fix) from None
        except ValueError:  # no UTF-8, or a NUL in the path
            raise BadValue(f"is to be in the file of {variable}, which is no text", fix) from None
        content = content.removesuffix("\n").removesuffix("\r")
        if not content.strip() or len(content) > _MAX_SECRET:
            state = "too long" if content.strip() else "empty"
            raise BadValue(f"is to be in the file of {variable}, which is {state}", fix)
        return content


class EnvironmentSettings(BaseSettings):
    """Settings, each the environment variable of the same name in capitals.

    An empty variable counts as unset, and space around a value as a slip of the pen. `read` gives
    an instance with an error that names all wrong settings.
    """

    model_config = SettingsConfigDict(extra="ignore", env_ignore_empty=True, validate_default=False)
    as_is: ClassVar[tuple[str, ...]] = ()  # fields that others read from the environment too
    secrets: ClassVar[tuple[str, ...]] = ()  # fields that NAME_FILE may give, as the path of a file

    @model_validator(mode="before")
    @classmethod
    def clean(cls, values: Any) -> Any:
        """Strip the values, and drop those of which nothing is left."""
        if not isinstance(values, Mapping):
            return values
        clean = {
            name: decode(value).strip()
            if isinstance(value, str) and name not in cls.as_is
            else value
            for name, value in values.items()
        }
        given = {name: value for name, value in clean.items() if value != ""}
        return given | {
            name: _SecretFile(path, is_given_twice=name in given)
            for name in cls.secrets
            if (path := os.environ.get(f"{name.upper()}_FILE", "").strip())
        }

    # Pydantic runs the last of these first: a file is read, and then its content is checked.
    @field_validator("*", mode="before")
    @classmethod
    def refuse_wrapping(cls, value: Any) -> Any:
        """Refuse what a file or a clipboard left in a value: quotes, a comment, unseen marks."""
        if isinstance(value, str) and value.startswith("\ufeff"):
            raise BadValue("begins with a byte order mark", "save its file as UTF-8 without BOM")
        if isinstance(value, str) and (character := unseen(value)):
            raise BadValue(
                f"has the character U+{ord(character):04X}, which nobody sees or means",
                "write the value by hand instead of copying it, in a file that is UTF-8",
            )
        if isinstance(value, str) and _COMMENT.search(value):
            raise BadValue(
                "has a comment after it, which is taken as part of it",
                "write it on a line of its own: only a shell and Compose take a comment away",
            )
        if isinstance(value, str) and len(value) > 1 and value[0] == value[-1] in _QUOTES:
            raise BadValue(
                "has quotes around it, which are taken as part of it",
                "leave them out: only a shell removes quotes, and a file of Docker keeps them",
            )
        return value

    @field_validator("*", mode="before")
    @classmethod
    def read_secret_file(cls, value: Any, info: ValidationInfo) -> Any:
        """Return the content of the file that NAME_FILE names."""
        if not isinstance(value, _SecretFile):
            return value
        name = str(info.field_name)
        content = value.read(f"{name.upper()}_FILE")
        return content if name in cls.as_is else content.strip()

    @field_validator("*", mode="before")
    @classmethod
    def refuse_underscores(cls, value: Any, info: ValidationInfo) -> Any:
        """Refuse `1_0`, which Python takes for ten and nobody means."""
        kind = cls.model_fields[str(info.field_name)].annotation
        is_number = {int, float} & set(get_args(kind) or (kind,))
        if is_number and isinstance(value, str) and "_" in value:
            raise BadValue(f"is {value[:_MAX_SHOWN]!r}, which is no number", "write digits only")
        return value


@dataclass(frozen=True)
class WrongSetting:
    """A variable with a value that cannot work, the reason, and the fix."""

    name: str
    reason: str
    fix: str


class InvalidSettings(TidingsError):
    """Settings that cannot work; `wrong` names each of them with its fix."""

    def __init__(self, wrong: Iterable[WrongSetting]) -> None:
        self.wrong = tuple(wrong)
        count = len(self.wrong)
        title = "1 setting is wrong" if count == 1 else f"{count} settings are wrong"
        lines = (f"\n  {each.name} {each.reason}\n    fix: {each.fix}" for each in self.wrong)
        super().__init__(f"{title}; nothing was started:{''.join(lines)}")


S = TypeVar("S", bound=EnvironmentSettings)


def read(kind: type[S]) -> S:
    """Read settings from the environment.

    Raises `InvalidSettings`, which names the wrong ones of every class that this process imported.
    """
    try:
        return kind()
    except ValidationError as error:
        raise InvalidSettings(wrong_settings() or _describe_all(kind, error)) from None


_checks: list[Callable[[], Iterable[WrongSetting]]] = []


def add_check(check: Callable[[], Iterable[WrongSetting]]) -> None:
    """Let `wrong_settings` ask for variables that no class of ours reads."""
    _checks.append(check)


def wrong_settings() -> list[WrongSetting]:
    """Return the wrong settings of every class and check that this process imported."""
    found = [wrong for check in _checks for wrong in check()]
    for kind in EnvironmentSettings.__subclasses__():
        try:
            kind()
        except ValidationError as error:
            found += _describe_all(kind, error)
    return list(dict.fromkeys(found))


def require_valid() -> None:
    """Raise `InvalidSettings` unless all settings can work."""
    if wrong := wrong_settings():
        raise InvalidSettings(wrong)


def read_secret_files() -> None:
    """Set the variables that files give, for those who read the environment and no settings."""
    for kind in EnvironmentSettings.__subclasses__():
        for name in kind.secrets:
            if os.environ.get(f"{name.upper()}_FILE", "").strip():
                os.environ[name.upper()] = str(getattr(read(kind), name))
                del os.environ[f"{name.upper()}_FILE"]


def exit_if_wrong() -> None:
    """End this process with exit code 2 and the list of wrong settings, if there are any."""
    if wrong := wrong_settings():
        sys.stderr.write(f"Error: {InvalidSettings(wrong)}\n")
        raise SystemExit(WRONG_SETTINGS)


def decode(text: str) -> str:
    """Return a text from the environment or the command line as UTF-8, whatever the locale is.

    An ASCII locale makes surrogates of the other characters, which no database stores.
    """
    if text.isascii():
        return text
    try:
        return os.fsencode(text).decode()
    except UnicodeError:
        return text


def _describe_all(kind: type[EnvironmentSettings], error: ValidationError) -> list[WrongSetting]:
    return [_describe(kind, each) for each in error.errors(include_url=False)]


def _describe(kind: type[EnvironmentSettings], error: Any) -> WrongSetting:
    [field] = error["loc"]
    name = str(field).upper()
    cause = error.get("ctx", {}).get("error")
    if isinstance(cause, BadValue):
        return WrongSetting(name, cause.reason, cause.fix)
    info = kind.model_fields[str(field)]
    shown = repr(str(error["input"]))[:_MAX_SHOWN]
    reason = reason_of(error).replace("Input should", "should")
    return WrongSetting(
        name,
        f"is {shown}, but {reason}" if reason.startswith("should") else f"is {shown}: {reason}",
        f"set it to the {info.description}; without it {info.get_default()!r} is taken",
    )
