"""The ways to write a SuperKernel scope in a model's source: what to import and which lines open and close it.

ge           torchair's context manager round the calls, chosen at run time because it has no switch of its own
recipes      the helper of cann-recipes, called by position: its parameter names differ from the published template
npugraph_ex  a balanced pair of direct calls; a wrapper round them may not reach the captured graph
vllm-ascend  nothing in the source: the whole captured graph is handed over by configuration
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

Dialect = Literal["ge", "recipes", "npugraph_ex", "vllm-ascend"]
DIALECTS: tuple[Dialect, ...] = get_args(Dialect)
#: Dialects that mark scopes in the model's source.
SOURCE_DIALECTS: tuple[Dialect, ...] = ("ge", "recipes", "npugraph_ex")

#: Those whose scope is a `with` block, not a pair of calls.
WITH_BLOCK: tuple[Dialect, ...] = ("ge", "recipes")
#: The import statements that the lines of a dialect rest on.
IMPORTS: dict[Dialect, tuple[str, ...]] = {
    "ge": ("import contextlib", "import torchair"),
    "recipes": ("from executor.utils import superkernel_scope",),
    "npugraph_ex": ("import torch", "import torch_npu"),
}
#: Names whose call means that a source already marks a scope, in whichever dialect.
SCOPE_CALLS = frozenset({"superkernel_scope", "super_kernel_scope", "super_kernel", "super_kernel_scope_begin"})

#: Keys of the options of a GE scope. Source: TorchAir, super_kernel scopes; SuperKernel debugging guides.
KNOWN_OPTIONS = frozenset(
    {
        *("stream-fusion", "feed-sync-all", "strict-scope-check", "early-start", "preload-code", "split-mode"),
        *("dcci-before-kernel-start", "dcci-after-kernel-end", "dcci-disable-on-kernel", "compile-options"),
        *("debug-aic-num", "debug-aiv-num", "debug-sync-all", "debug-dcci-all"),
    }
)

#: Headers longer than this, without their indentation, are written on several lines.
_LINE = 88


@dataclass(frozen=True)
class Scope:
    """One scope as Python text.

    `enable` is the expression that switches it on, `decode` the one that is true in decode (None inside a method
    that only decode calls), `label` an expression for its name, `options` the plain text `key=value:key=value`.
    """

    enable: str
    decode: str | None
    label: str
    options: str

    @property
    def condition(self) -> str:
        """The expression under which the scope is in force."""
        return self.enable if self.decode is None else f"{self.enable} and {self.decode}"


def with_header(dialect: Dialect, scope: Scope, torchair: str = "torchair", indent: str = "    ") -> str:
    """The line that opens the block, or several where it would be long.

    `torchair` is the name under which the source has imported it, `indent` its step of indentation.
    """
    options = f'"{scope.options}"'
    if dialect == "recipes":
        opening, parts = "with superkernel_scope(", [f"{scope.condition},", f"{scope.label},", f"{options},"]
        line = f"{opening}{' '.join(parts)[:-1]}):"
    else:
        opened = f"{torchair}.scope.super_kernel({scope.label}, {options})"
        opening, parts = "with (", [opened, f"if {scope.condition}", "else contextlib.nullcontext()"]
        line = f"with {' '.join(parts)}:"
    return line if len(line) <= _LINE else "\n".join([opening, *(indent + part for part in parts), "):"])


def pair_calls(scope: Scope) -> tuple[str, str]:
    """The statements of npugraph_ex that open and close the scope."""
    return (
        f"if {scope.condition}:\n    torch.npu.super_kernel_scope_begin({scope.label})\n",
        f"if {scope.condition}:\n    torch.npu.super_kernel_scope_end({scope.label})\n",
    )


def example(dialect: Dialect, scope: Scope, held: str) -> str:
    """The scope round a line that stands for what it holds."""
    if dialect in WITH_BLOCK:
        return f"{with_header(dialect, scope)}\n    {held}\n"
    begin, end = pair_calls(scope)
    return f"{begin}{held}\n{end}"
