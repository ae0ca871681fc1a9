"""A walk over the opcodes of a pickle that follows its stack, and never builds an object.

What a pickle can do is decided by the names it imports and by what it does to them. Names can be
hidden from a reader that only looks at neighbouring opcodes (memo tricks, DUP, computed strings),
so the walk keeps a stack and a memo of its own, in which texts and imported names are known and
everything else is not. A name that is not a known text is reported as computed.

The walk accepts at least what CPython's unpickler accepts: where it stops, unpickling stops too.

Source: Python's pickletools (table of opcodes) and Modules/_pickle.c (what each one does).
"""

import codecs
import pickletools
import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import BinaryIO, Final

from ml_core.formats.errors import FormatError, LimitExceeded

MAX_LINE_BYTES = 1 << 16
MAX_KEPT_BYTES = 1 << 10
MAX_NESTED_BYTES = 64 << 20
MAX_OPCODES = 30_000_000
MAX_KEPT_OBJECTS = 2_000_000
CHECK_EVERY = 1 << 14
LENGTHS: Final = {
    pickletools.TAKEN_FROM_ARGUMENT1: struct.Struct("<B"),
    pickletools.TAKEN_FROM_ARGUMENT4: struct.Struct("<i"),
    pickletools.TAKEN_FROM_ARGUMENT4U: struct.Struct("<I"),
    pickletools.TAKEN_FROM_ARGUMENT8U: struct.Struct("<Q"),
}
PICKLE_STARTS = tuple(bytes([0x80, protocol]) for protocol in range(2, 6))


@dataclass(frozen=True)
class Imported:
    """A name the pickle imports; a module or name of None could not be told."""

    module: str | None
    name: str | None


class _Unknown:
    """A value that is neither a text nor an imported name."""


class _Mark:
    """The mark object of the unpickler's stack."""


UNKNOWN: Final = _Unknown()
MARK: Final = _Mark()
Value = str | Imported | _Unknown | _Mark


@dataclass
class Walk:
    """What a walk over one pickle saw, as far as it came.

    `error` is None where the walk reached the STOP opcode, and a `LimitExceeded` where the pickle,
    or `on_step`, asked for too much. `altered` are imported names whose object the pickle changes.
    The dicts are ordered sets.
    """

    imports: dict[Imported, None] = field(default_factory=dict)
    altered: dict[Imported, None] = field(default_factory=dict)
    extension_codes: dict[int, None] = field(default_factory=dict)
    has_large_nested: bool = False
    n_opcodes: int = 0
    last_number: bytes = b""
    error: FormatError | None = None


def walk_pickle(
    stream: BinaryIO,
    *,
    on_step: Callable[[], None] = lambda: None,
    on_nested: Callable[[bytes], None] = lambda _: None,
) -> Walk:
    """Follows one pickle from the current position to its STOP, or to where it breaks.

    Args:
        stream: needs `read` and `readline`; with `seek` large constants are passed over unread.
        on_step: called every few thousand opcodes; may raise `FormatError` to stop.
        on_nested: given each bytes constant that looks like a pickle itself.
    """
    machine = _Machine(stream, on_nested)
    try:
        for _ in machine.run():
            on_step()
    except FormatError as error:
        machine.walk.error = error
    return machine.walk


class _Machine:
    def __init__(self, stream: BinaryIO, on_nested: Callable[[bytes], None]) -> None:
        self.walk = Walk()
        self._stream = stream
        self._on_nested = on_nested
        self._stack: list[Value] = []
        self._memo: dict[int, Value] = {}

    def run(self) -> Iterator[None]:
        walk, read = self.walk, self._stream.read
        while True:
            code = read(1)
            if not code:
                raise FormatError("truncated", "The pickle ends before its STOP.")
            step = STEPS[code[0]]
            if step is None:
                raise FormatError("bad-opcode", "The pickle holds an unknown opcode.", byte=code[0])
            walk.n_opcodes += 1
            if step.handler is None:
                return
            size = step.argument_size
            argument = b"" if size == 0 else self._exactly(size) if size > 0 else self._long(step)
            step.handler(self, argument)
            if walk.n_opcodes % CHECK_EVERY == 0:
                self._check_size()
                yield

    def _check_size(self) -> None:
        if self.walk.n_opcodes > MAX_OPCODES:
            raise LimitExceeded("too-many-opcodes", "The pickle has too many opcodes.")
        if len(self._stack) + len(self._memo) + len(self.walk.imports) > MAX_KEPT_OBJECTS:
            raise LimitExceeded("too-many-objects", "The pickle keeps too many objects.")

    # Arguments

    def _long(self, step: "Step") -> bytes:
        """The bytes of an argument without a fixed size, of long ones only the start."""
        if step.length is None:
            return self._line() + (self._line() if step.has_two_lines else b"")
        (length,) = step.length.unpack(self._exactly(step.length.size))
        if length < 0:
            raise FormatError("bad-length", "The pickle holds a negative length.")
        if length <= MAX_KEPT_BYTES and not step.can_nest:
            return self._exactly(length)
        return self._constant(length, step)

    def _constant(self, length: int, step: "Step") -> bytes:
        start = self._exactly(min(length, MAX_KEPT_BYTES))
        left = length - len(start)
        if step.can_nest and start.startswith(PICKLE_STARTS):
            if length <= MAX_NESTED_BYTES:
                self._on_nested(start + self._exactly(left))
                return start
            self.walk.has_large_nested = True
        self._skip(left)
        # The invalid byte keeps a cut text from passing for a whole one.
        return start if left == 0 else b"\xff" + start

    def _exactly(self, n_bytes: int) -> bytes:
        data = self._stream.read(n_bytes)
        if len(data) != n_bytes:
            raise FormatError("truncated", "The pickle ends inside an opcode.")
        return data

    def _line(self) -> bytes:
        """One line with its end; a long one is read to its end, and comes back cut and invalid."""
        line = self._stream.readline(MAX_LINE_BYTES)
        piece = line
        while len(piece) == MAX_LINE_BYTES and not piece.endswith(b"\n"):
            piece = self._stream.readline(MAX_LINE_BYTES)
        if not piece.endswith(b"\n"):
            raise FormatError("truncated", "The pickle ends inside a line.")
        return line if piece is line else b"\xff" + line[:MAX_KEPT_BYTES] + b"\n"

    def _skip(self, n_bytes: int) -> None:
        if self._stream.seekable():
            self._stream.seek(n_bytes, 1)
            return
        while n_bytes > 0:
            n_bytes -= len(self._exactly(min(n_bytes, 1 << 20)))

    # Stack

    def _pop(self) -> Value:
        if not self._stack:
            raise FormatError("empty-stack", "The pickle takes from an empty stack.")
        return self._stack.pop()

    def _top(self) -> Value:
        if not self._stack:
            raise FormatError("empty-stack", "The pickle looks at an empty stack.")
        return self._stack[-1]

    def _pop_to_mark(self) -> list[Value]:
        values: list[Value] = []
        while True:
            value = self._pop()
            if value is MARK:
                return values[::-1]
            values.append(value)

    # Opcodes that matter

    def mark(self, _: bytes) -> None:
        self._stack.append(MARK)

    def pop(self, _: bytes) -> None:
        self._pop()

    def duplicate(self, _: bytes) -> None:
        self._stack.append(self._top())

    def binary_text(self, argument: bytes) -> None:
        self._push_text(argument, "utf-8")

    def line_text(self, argument: bytes) -> None:
        self._push_text(argument[:-1], "raw-unicode-escape")

    def binary_string(self, argument: bytes) -> None:
        self._push_text(argument, "ascii")

    def quoted_string(self, argument: bytes) -> None:
        body = argument.strip()
        if len(body) < 2 or body[0] != body[-1] or body[:1] not in (b"'", b'"'):
            self._stack.append(UNKNOWN)
            return
        try:
            self._push_text(codecs.escape_decode(body[1:-1])[0], "ascii")
        except ValueError:
            self._stack.append(UNKNOWN)

    def _push_text(self, raw: bytes, encoding: str) -> None:
        try:
            self._stack.append(raw.decode(encoding))
        except UnicodeDecodeError:
            self._stack.append(UNKNOWN)

    def put(self, argument: bytes) -> None:
        self._memo[int.from_bytes(argument, "little")] = self._top()

    def put_line(self, argument: bytes) -> None:
        self._memo[_number(argument)] = self._top()

    def memoize(self, _: bytes) -> None:
        self._memo[len(self._memo)] = self._top()

    def get(self, argument: bytes) -> None:
        self._stack.append(self._memo.get(int.from_bytes(argument, "little"), UNKNOWN))

    def get_line(self, argument: bytes) -> None:
        self._stack.append(self._memo.get(_number(argument), UNKNOWN))

    def global_(self, argument: bytes) -> None:
        module, name = argument.split(b"\n")[:2]
        self._import(Imported(_decoded(module), _decoded(name)))

    def instance(self, argument: bytes) -> None:
        self._pop_to_mark()
        self.global_(argument)
        self._stack[-1] = UNKNOWN

    def stack_global(self, _: bytes) -> None:
        name, module = self._pop(), self._pop()
        self._import(
            Imported(
                module if isinstance(module, str) else None, name if isinstance(name, str) else None
            )
        )

    def _import(self, imported: Imported) -> None:
        self.walk.imports[imported] = None
        self._stack.append(imported)

    def extension(self, argument: bytes) -> None:
        self.walk.extension_codes[int.from_bytes(argument, "little", signed=True)] = None
        self._stack.append(UNKNOWN)

    def change_one(self, _: bytes) -> None:
        self._pop()
        self._note_change()

    def change_pair(self, _: bytes) -> None:
        self._pop()
        self.change_one(_)

    def change_many(self, _: bytes) -> None:
        self._pop_to_mark()
        self._note_change()

    def _note_change(self) -> None:
        target = self._top()
        if isinstance(target, Imported):
            self.walk.altered[target] = None


def _number(argument: bytes) -> int:
    try:
        return int(argument)
    except ValueError as error:
        raise FormatError("bad-number", "The pickle holds a memo key that is none.") from error


def _decoded(raw: bytes) -> str | None:
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError:
        return None


Handler = Callable[[_Machine, bytes], None]
HANDLERS: Final[dict[str, Handler]] = {
    "MARK": _Machine.mark,
    "POP": _Machine.pop,
    "DUP": _Machine.duplicate,
    "SHORT_BINUNICODE": _Machine.binary_text,
    "BINUNICODE": _Machine.binary_text,
    "BINUNICODE8": _Machine.binary_text,
    "UNICODE": _Machine.line_text,
    "STRING": _Machine.quoted_string,
    "BINSTRING": _Machine.binary_string,
    "SHORT_BINSTRING": _Machine.binary_string,
    "PUT": _Machine.put_line,
    "BINPUT": _Machine.put,
    "LONG_BINPUT": _Machine.put,
    "MEMOIZE": _Machine.memoize,
    "GET": _Machine.get_line,
    "BINGET": _Machine.get,
    "LONG_BINGET": _Machine.get,
    "GLOBAL": _Machine.global_,
    "INST": _Machine.instance,
    "STACK_GLOBAL": _Machine.stack_global,
    "EXT1": _Machine.extension,
    "EXT2": _Machine.extension,
    "EXT4": _Machine.extension,
    "BUILD": _Machine.change_one,
    "APPEND": _Machine.change_one,
    "SETITEM": _Machine.change_pair,
    "APPENDS": _Machine.change_many,
    "SETITEMS": _Machine.change_many,
    "ADDITEMS": _Machine.change_many,
}


@dataclass(frozen=True, slots=True)
class Step:
    """How to take one opcode; `handler` is None for STOP.

    `argument_size` is -1 where the size is not fixed: then `length` reads it, or the argument is a
    line (or two).
    """

    handler: Handler | None
    argument_size: int = 0
    length: struct.Struct | None = None
    has_two_lines: bool = False
    can_nest: bool = False


def _table_handler(op: pickletools.OpcodeInfo) -> Handler:
    """Takes and gives what the table of opcodes says; what is given is not known."""
    has_mark = pickletools.markobject in op.stack_before
    n_taken = op.stack_before.index(pickletools.markobject) if has_mark else len(op.stack_before)
    given: list[Value] = [UNKNOWN] * len(op.stack_after)
    is_number = op.name in ("LONG1", "LONG4", "LONG", "INT")

    def apply(machine: _Machine, argument: bytes) -> None:
        if has_mark:
            machine._pop_to_mark()
        for _ in range(n_taken):
            machine._pop()
        machine._stack += given
        if is_number:
            machine.walk.last_number = argument

    return apply


def _step(op: pickletools.OpcodeInfo) -> Step:
    if op.name == "STOP":
        return Step(None)
    handler = HANDLERS.get(op.name) or _table_handler(op)
    if op.arg is None:
        return Step(handler)
    if op.arg.n >= 0:
        return Step(handler, op.arg.n)
    return Step(
        handler,
        -1,
        LENGTHS.get(op.arg.n),
        has_two_lines=op.name in ("GLOBAL", "INST"),
        can_nest="BYTE" in op.name or "STRING" in op.name,
    )


STEPS: Final[list[Step | None]] = [None] * 256
for _op in pickletools.opcodes:
    STEPS[ord(_op.code)] = _step(_op)
