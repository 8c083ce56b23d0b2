"""One compilation of each template for all applications that the tests of a process create."""

from flask import Flask
from jinja2 import BytecodeCache
from jinja2.bccache import Bucket


class CompiledTemplates(BytecodeCache):
    """Keeps compiled templates in memory; Jinja compares each with its source."""

    def __init__(self) -> None:
        self._compiled: dict[str, bytes] = {}

    def load_bytecode(self, bucket: Bucket) -> None:
        """Fill the bucket of a template that was compiled before."""
        if (compiled := self._compiled.get(bucket.key)) is not None:
            bucket.bytecode_from_string(compiled)

    def dump_bytecode(self, bucket: Bucket) -> None:
        """Keep a template that was compiled just now."""
        self._compiled[bucket.key] = bucket.bytecode_to_string()


def keep() -> None:
    """Let each application of this process, which compiles its own templates, take kept ones."""
    Flask.jinja_options = {"bytecode_cache": CompiledTemplates()}
