"""A stand-in for everything that a modeling file imports, so that its own code runs: values that take part in anything.

Only the standard library is imported. Every other name is a `Value`, which can be called, indexed, compared, unpacked
and subclassed; modules call their `forward`, and the scope interfaces note when they are opened.
"""

from __future__ import annotations

import ast
import builtins
import dis
import functools
import sys
import types
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

#: What comparisons and truth tests of unknown values answer; both answers are tried, for they choose the branches.
TRUTH = [True]
#: How many tokens a pass brings per sequence.
TOKENS = [1]
#: Lines at which a test is answered so that the file does not refuse its input: line -> answer.
GUARDS: dict[int, bool] = {}
_LIMIT = 50_000
_left = [_LIMIT]
OPENED: list[str] = []


class Exhausted(Exception):
    """A loop that no stand-in ends."""


class _Kind(type):
    def __getattr__(cls, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return _Kind(name, (Value,), {})

    def __call__(cls, *inputs: Any, **named: Any) -> Any:
        if len(inputs) == 1 and not named and isinstance(inputs[0], (types.FunctionType, type)):
            # A decorator; those of transformers that are named so are given a function and make one.
            return Value() if cls.__name__.startswith("use_") else inputs[0]
        return super().__call__(*inputs, **named)

    def __getitem__(cls, _key: Any) -> Any:
        return cls

    @property
    def shape(cls) -> Any:
        return Shape(False)

    def __iter__(cls) -> Iterator[Any]:
        return iter(Value())


def _unpacked(frame: types.FrameType) -> int:
    """Into how many names a frame takes a value apart; 1 where it loops over it."""
    code, place = frame.f_code.co_code, frame.f_lasti
    count = {"UNPACK_SEQUENCE": code[place + 1], "UNPACK_EX": code[place + 1] + 1}
    return count.get(dis.opname[code[place]], 1)


def _answer(*_inputs: Any, **_named: Any) -> Any:
    return Value()


class Value(metaclass=_Kind):
    """Takes part in anything. Missing attributes are values, too, except what a patch has to set.

    As a tensor it is [batch, TOKENS, width], and without tokens where it was flattened.
    """

    flat = False
    forward: Any = functools.partial(_answer)  # for super().forward(...)

    def __init__(self, *inputs: Any, **named: Any) -> None: ...

    @property
    def shape(self) -> Any:
        return Shape(self.flat)

    @property
    def is_prefill(self) -> bool:
        return vars(self).get("_is_prefill", TOKENS[0] > 1)

    @is_prefill.setter
    def is_prefill(self, value: Any) -> None:
        vars(self)["_is_prefill"] = value

    def keys(self) -> tuple[str, ...]:
        return ()

    def view(self, *sizes: Any) -> Any:
        seen = Value()
        seen.flat = len(sizes) == 2 and type(sizes[0]) is int and sizes[0] == -1
        return seen

    reshape = view

    def size(self, *axes: int) -> Any:
        return self.shape[axes[0]] if axes else self.shape

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") or name in ("enable_superkernel", "layer_idx", "layer_id", "layer_number"):
            raise AttributeError(f"{type(self).__name__} has no {name}")
        return Value()

    def __call__(self, *inputs: Any, **named: Any) -> Any:
        own = getattr(type(self), "forward", None)
        if isinstance(own, types.FunctionType):
            return own(self, *inputs, **named)
        if len(inputs) == 1 and not named and isinstance(inputs[0], (types.FunctionType, type)):
            return inputs[0]
        return Value()

    def __bool__(self) -> bool:
        _left[0] -= 1
        if _left[0] < 0:
            raise Exhausted
        frame: types.FrameType | None = sys._getframe(1)
        while frame is not None and frame.f_code.co_filename != "modeling.py":
            frame = frame.f_back
        return GUARDS.get(frame.f_lineno, TRUTH[0]) if frame is not None else TRUTH[0]

    def __iter__(self) -> Iterator[Any]:
        return iter([Value() for _ in range(_unpacked(sys._getframe(1)))])

    def __hash__(self) -> int:
        return id(self)

    def __repr__(self) -> str:
        return "value"

    def __format__(self, _spec: str) -> str:
        return "value"

    def __len__(self) -> int:
        return 1

    def __index__(self) -> int:
        return 2

    def __float__(self) -> float:
        return 2.0

    def __enter__(self) -> Any:
        return self

    def __exit__(self, *_: object) -> None: ...

    def __contains__(self, _item: object) -> bool:
        return bool(self)

    def __setitem__(self, _key: Any, _value: Any) -> None: ...

    __int__ = __index__
    __eq__ = __ne__ = __lt__ = __le__ = __gt__ = __ge__ = _answer  # type: ignore[assignment]
    __getitem__ = _answer


for _name in [
    "add",
    "sub",
    "mul",
    "truediv",
    "floordiv",
    "mod",
    "pow",
    "matmul",
    "and",
    "or",
    "xor",
    "lshift",
    "rshift",
]:
    for _prefix in ("", "r"):
        setattr(Value, f"__{_prefix}{_name}__", _answer)
        if _name != "or":
            setattr(_Kind, f"__{_prefix}{_name}__", _answer)
for _name in ("neg", "pos", "invert", "abs"):
    setattr(Value, f"__{_name}__", _answer)
    setattr(_Kind, f"__{_name}__", _answer)


class Held(Value):
    """An object that is there for certain, such as a configuration: it is never taken for None."""

    def __bool__(self) -> bool:
        return True


class Shape(Value):
    """The sizes of a tensor."""

    def __init__(self, flat: bool) -> None:
        self.flat = flat

    def __iter__(self) -> Iterator[Any]:
        sizes = [Value() for _ in range(_unpacked(sys._getframe(1)))]
        return iter([sizes[0], TOKENS[0], sizes[2]] if len(sizes) == 3 else sizes)

    def __getitem__(self, key: Any) -> Any:  # type: ignore[override]
        return (16 if self.flat else TOKENS[0]) if type(key) is int and key == 1 else Value()


class Modules(Value):
    """ModuleList and its kin."""

    def __init__(self, items: Any = (), *more: Any) -> None:
        self.items = [*(items if isinstance(items, (list, tuple)) or hasattr(items, "__next__") else [items]), *more]

    def __iter__(self) -> Iterator[Any]:
        return iter(self.items)

    def __getitem__(self, key: Any) -> Any:
        return self.items[key] if isinstance(key, slice) else self.items[0]  # type: ignore[override]

    def __len__(self) -> int:
        return len(self.items)

    def append(self, item: Any) -> None:
        self.items.append(item)


class Settings(dict[str, Any]):
    """A dictionary that has everything."""

    def __missing__(self, key: str) -> Any:
        return Value()

    def get(self, key: str, default: Any = None) -> Any:
        return self[key] if key in self or default is None else default


@contextmanager
def _scope(label: Any, options: Any = "") -> Iterator[None]:
    OPENED.append(str(label))
    yield


def _helper(enable: Any, scope: Any, options: Any = None) -> Any:
    return _scope(scope, options) if enable else Value()


#: The last words of a dotted name -> what stands in for it.
_KNOWN: Mapping[str, Any] = {
    "ModuleList": Modules,
    "superkernel_scope": _helper,
    "super_kernel": _scope,
    "super_kernel_scope_begin": lambda name=None: OPENED.append(str(name)),
    "super_kernel_scope_end": lambda name=None: None,
}


class _Module(types.ModuleType):
    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        if name in _KNOWN:
            return _KNOWN[name]
        plain = name[:1].islower() and name in ("nn", "npu", "scope", "utils", "distributed", "functional")
        return _Module(name) if plain else _Kind(name, (Value,), {})


def load(source: str) -> dict[str, Any]:
    """Run a file with everything but the standard library stood in for; returns its names."""

    def fetch(name: str, names: Any = None, local: Any = None, wanted: Any = (), level: int = 0) -> Any:
        if level == 0 and name.split(".")[0] in sys.stdlib_module_names:
            return builtins.__import__(name, names, local, wanted, level)
        return _Module(name)

    names: dict[str, Any] = {"__name__": "modeling", "__builtins__": {**vars(builtins), "__import__": fetch}}
    exec(_compiled(source), names)
    return names


@functools.lru_cache(maxsize=4)
def _compiled(source: str) -> types.CodeType:
    return compile(source, "modeling.py", "exec", dont_inherit=True)


@functools.lru_cache(maxsize=4)
def guards(source: str) -> dict[int, bool]:
    """Tests that decide whether the file raises: false where the branch raises, true where the other one does."""
    found: dict[int, bool] = {}
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.If):
            ways = {True: isinstance(node.body[-1], ast.Raise), False: _ends_in_raise(node.orelse)}
            if ways[True] is not ways[False]:
                found.update(dict.fromkeys(range(node.test.lineno, (node.test.end_lineno or 0) + 1), ways[False]))
        elif isinstance(node, ast.Assert):
            found.update(dict.fromkeys(range(node.lineno, (node.end_lineno or 0) + 1), True))
    return found


def _ends_in_raise(body: list[ast.stmt]) -> bool:
    """Whether an `else` raises, also at the end of a chain of `elif`."""
    if len(body) == 1 and isinstance(body[0], ast.If):
        return _ends_in_raise(body[0].orelse)
    return bool(body) and isinstance(body[-1], ast.Raise)


def run(call: Callable[[], Any], truth: bool) -> tuple[list[str], str]:
    """The scopes that a call opens, and the error that ends it (empty where none does)."""
    OPENED.clear()
    TRUTH[0], _left[0] = truth, _LIMIT
    try:
        call()
    except (Exhausted, RecursionError) as error:
        return list(OPENED), type(error).__name__
    except Exception as error:  # the file's own error, or one of the patch: the caller compares
        return list(OPENED), f"{type(error).__name__}: {error}"
    return list(OPENED), ""
