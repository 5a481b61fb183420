"""A class of kernels that look alike: one operator, shapes and core."""

from __future__ import annotations

from dataclasses import dataclass

from skadvisor.vocabulary.shapes import MatmulDims, Shape
from skadvisor.vocabulary.states import State


@dataclass(frozen=True)
class KernelClass:
    """Kernels that look alike. `last` is the last dimension of the first input, `out` of the first output.

    `fused` is the state that stands for a SuperKernel, None for one that spans several sub-blocks; `ends` are the roles
    of the operators that a SuperKernel begins and ends with, empty for other kernels. `label` is the name under which
    the role is shown, `region` the one that the vocabulary ties the operator to (empty as a rule), `properties` what
    it has in common with operators of other roles (`vocabulary.states.PROPERTIES`).
    """

    base: str
    role: str
    known: bool
    core: str
    inputs: tuple[Shape | None, ...]
    outputs: tuple[Shape | None, ...]
    matmul: MatmulDims | None
    count: int
    fused: State | None = None
    ends: tuple[str, ...] = ()
    label: str = ""
    region: str = ""
    properties: frozenset[str] = frozenset()

    @property
    def last(self) -> int | None:
        shape = next((shape for shape in self.inputs if shape), None)
        return shape[-1] if shape else None

    @property
    def out(self) -> int | None:
        shape = self.outputs[0] if self.outputs else None
        return shape[-1] if shape else None

    @property
    def spans(self) -> bool:
        """Whether it is a SuperKernel over several sub-blocks, or over what nothing tells."""
        return self.role == "superkernel" and self.fused is None

    @property
    def outside(self) -> bool:
        """Whether the vocabulary puts it outside the order of a step: marks of the runtime, exchanges between ranks."""
        return self.region in ("comm", "other")

    @property
    def multiplies_batches(self) -> bool:
        """Whether it multiplies by a batch of matrices, by its shapes or its name."""
        if self.role != "matmul":
            return False
        return bool(self.matmul and self.matmul.batched) or "one_matrix_per_head" in self.properties

    def touches(self, width: int) -> bool:
        """Whether it reads or writes rows of this width."""
        return width in (self.last, self.out) or bool(self.matmul and width in (self.matmul.inner, self.matmul.outer))
