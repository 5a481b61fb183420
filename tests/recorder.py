"""A stand-in for the SuperKernel interfaces and for a model's parts: it notes what happens, in order."""

from __future__ import annotations

import sys
import types
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

Event = tuple[str, ...]


class Recorder:
    """`events` in order: ("enter", label, options), ("call", part), ("exit", label, options)."""

    def __init__(self) -> None:
        self.events: list[Event] = []

    @contextmanager
    def scope(self, label: str, options: str = "") -> Iterator[None]:
        assert isinstance(label, str) and isinstance(options, str)
        self.events.append(("enter", label, options))
        try:
            yield
        finally:
            self.events.append(("exit", label, options))

    @contextmanager
    def helper(self, enable: bool, scope: str, options: str | None = None) -> Iterator[None]:
        """The helper of cann-recipes, with its own parameter names."""
        if not enable:
            yield
            return
        with self.scope(scope, options or ""):
            yield

    def part(self, name: str) -> Callable[..., Any]:
        """A part of a model: notes its call and answers something that depends on all of its inputs."""

        def work(*inputs: Any, **named: Any) -> int:
            self.events.append(("call", name))
            flat = [value for value in (*inputs, *named.values()) if type(value) is int]
            return sum(flat) * 31 + sum(map(ord, name))

        return work

    @property
    def calls(self) -> list[str]:
        return [event[1] for event in self.events if event[0] == "call"]

    def inside(self) -> list[tuple[str, str, list[str]]]:
        """(label, options, parts called inside) per scope, in order of opening; checks that scopes are balanced."""
        scopes: list[tuple[str, str, list[str]]] = []
        open_scopes: list[int] = []
        for event in self.events:
            if event[0] == "enter":
                open_scopes.append(len(scopes))
                scopes.append((event[1], event[2], []))
            elif event[0] == "exit":
                assert scopes[open_scopes.pop()][0] == event[1]
            else:
                for index in open_scopes:
                    scopes[index][2].append(event[1])
        assert not open_scopes, "a scope was left open"
        return scopes


def load(source: str | bytes, recorder: Recorder, monkeypatch: Any) -> dict[str, Any]:
    """Run a modeling source against the stand-ins and return its names."""

    class Module:
        def __call__(self, *inputs: Any, **named: Any) -> Any:
            return self.forward(*inputs, **named)  # type: ignore[attr-defined]

    def as_decorator(*_: Any) -> Callable[[Any], Any]:
        return lambda function: function

    torch = types.ModuleType("torch")
    torch.nn = types.SimpleNamespace(Module=Module, ModuleList=list)  # type: ignore[attr-defined]
    torch.no_grad = as_decorator  # type: ignore[attr-defined]
    torch.npu = types.SimpleNamespace(  # type: ignore[attr-defined]
        super_kernel_scope_begin=lambda name: recorder.events.append(("enter", name, "")),
        super_kernel_scope_end=lambda name: recorder.events.append(("exit", name, "")),
    )
    torchair = types.ModuleType("torchair")
    torchair.scope = types.SimpleNamespace(super_kernel=recorder.scope)  # type: ignore[attr-defined]
    utils = types.ModuleType("executor.utils")
    utils.superkernel_scope = recorder.helper  # type: ignore[attr-defined]
    stand_ins = {
        "torch": torch,
        "torch_npu": types.ModuleType("torch_npu"),
        "torchair": torchair,
        "executor": types.ModuleType("executor"),
        "executor.utils": utils,
    }
    for name, module in stand_ins.items():
        monkeypatch.setitem(sys.modules, name, module)
    names: dict[str, Any] = {"part": recorder.part, "__name__": "modeling"}
    exec(compile(source, "modeling.py", "exec", dont_inherit=True), names)
    return names
