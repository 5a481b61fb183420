"""Questions that several stages ask are answered in one place, the same for all of them."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from skadvisor.accounting.timeline import before_on_stream
from skadvisor.events import PlainColumns, idle_before
from skadvisor.fusion.overlaps import count_streams
from skadvisor.vocabulary.labels_of_kernels import operator_label
from skadvisor.vocabulary.superkernel_names import NO_SCOPE, ends_of, scope_of, superkernel_rows


def _streams(scope: list[int], stream: list[int | None], model: list[int | None] | None = None) -> int:
    kernels = pd.DataFrame(
        {
            "stream": pd.array(stream, dtype="Int64"),
            "model": pd.array(model or [None] * len(scope), dtype="Int64"),
        }
    )
    return count_streams(PlainColumns(kernels), pd.Series(scope).to_numpy())


def test_one_scope_with_two_streams_among_many_with_one_counts() -> None:
    assert _streams([0, 1, 2, 3, 3], [1, 1, 1, 1, 2]) == 2


def test_pieces_of_a_scope_have_streams_of_their_own() -> None:
    assert _streams([0, 0, 0, 0], [1, 1, 2, 2], [7, 7, 8, 8]) == 1


def test_kernels_outside_and_unknown_streams_do_not_count() -> None:
    assert _streams([-1, -1, 0], [1, 2, 3]) == 1
    assert _streams([0, 0], [None, None]) == 0


@pytest.mark.parametrize(
    ("op_type", "name", "expected"),
    [
        ("SuperKernel", "my_own_name", True),
        (None, "sk_layer_3_start_MatMulV2_12_end_MatMulV2_15", True),
        ("MatMulV2", "sk_layer_3_start_MatMulV2_12_end_MatMulV2_15", True),
        (None, "MatMulV2_12", False),
    ],
)
def test_a_superkernel_is_known_by_its_type_or_its_name(op_type: str | None, name: str, expected: bool) -> None:
    kernels = pd.DataFrame({"op_type": pd.Categorical([op_type]), "name": pd.Categorical([name])})
    assert superkernel_rows(kernels).tolist() == [expected]
    assert (operator_label(op_type, name) == "SuperKernel") is expected


def test_the_name_of_a_superkernel_says_scope_and_ends() -> None:
    name = "sk_4_none_start_static_kernel_Cast_1_end_static_kernel_MatMulV3_2"
    assert (scope_of(name), ends_of(name)) == (NO_SCOPE, "Cast ... MatMulV3")
    assert (scope_of("MatMulV2_12"), ends_of("MatMulV2_12")) == ("MatMulV2_12", "")


def test_idle_time_before_a_kernel_counts_from_the_latest_end() -> None:
    start, length = pd.Series([0, 10, 60, 120]).to_numpy(), pd.Series([100, 5, 10, 1]).to_numpy()
    assert idle_before(start, length).tolist() == [0, 0, 0, 20]


def test_the_kernel_before_is_that_of_the_same_stream() -> None:
    assert before_on_stream(np.array([1, 2, 1, -1, 2, -1])).tolist() == [-1, -1, 0, -1, 1, 3]
