"""Text to exact numbers, kinds of tasks, and containment of launches in host ranges."""

from __future__ import annotations

from decimal import ROUND_HALF_UP, Decimal

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import event, given, settings
from hypothesis import strategies as st

from skadvisor import events
from skadvisor.capture import collectives, columns, links
from skadvisor.capture.database import ids
from skadvisor.capture.device_tasks import kind_of
from skadvisor.capture.interface import ABSENT
from skadvisor.capture.trace.columns import times
from skadvisor.capture.trace.events import Texts

MICROSECONDS = st.decimals(0, 4 * 10**15, allow_nan=False, allow_infinity=False, places=3)


@given(MICROSECONDS)
def test_three_decimals_are_exact(value: Decimal) -> None:
    assert columns.nanoseconds(f"{value}\t") == int(value * 1000)


@given(st.decimals(0, 10**12, allow_nan=False, allow_infinity=False, places=9))
def test_more_decimals_round_half_up(value: Decimal) -> None:
    expected = int((value * 1000).quantize(Decimal(1), rounding=ROUND_HALF_UP))
    assert columns.nanoseconds(f"{value:f}") == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1736408883704643.212\t", 1736408883704643212),
        ("27.0805", 27081),
        ("0", 0),
        (".5", 500),
        ("7.", 7000),
        ("1e-05", 0),
        ("1.5E+3", 1_500_000),
        ("-1.5", -1500),
        *[
            (text, None)
            for text in ("N/A", "", ".", "1.2.3", "0x10", "Infinity", "nan", "1_000", "١٢", "9" * 40, "1e400")
        ],
    ],
)
def test_texts(text: str, expected: int | None) -> None:
    assert columns.nanoseconds(text) == expected


NUMBERS = st.one_of(
    MICROSECONDS.map(lambda value: f"{value}\t"),
    st.decimals(0, 10**12, allow_nan=False, allow_infinity=False).map(lambda value: f"{value:f}"),
    st.from_regex(r"[0-9]{0,20}(\.[0-9]{0,10})?", fullmatch=True),
    st.text("0123456789.-+eE/:\t é\x00", max_size=26),
)


@given(st.lists(st.one_of(st.none(), NUMBERS), max_size=12), st.integers(1, 5))
def test_columns_of_decimal_text_equal_single_texts_or_are_refused(texts: list[str | None], size: int) -> None:
    column = pa.chunked_array([texts[at : at + size] for at in range(0, len(texts), size)], type=pa.string())
    absent = [text is None or text.strip() in ABSENT for text in texts]
    expected = [None if none else columns.nanoseconds(str(text)) for none, text in zip(absent, texts, strict=True)]
    unreadable = any(value is None and not none for value, none in zip(expected, absent, strict=True))
    try:
        made = columns.decimal_nanoseconds(column).to_pylist()
    except pa.ArrowInvalid:
        event("refused")
    else:
        assert not unreadable and made == expected


@given(st.lists(st.one_of(st.none(), st.just("N/A\t"), MICROSECONDS.map(lambda value: f"{value}\t")), max_size=12))
def test_columns_as_the_profiler_writes_them_are_read(texts: list[str | None]) -> None:
    expected = [None if text in (None, "N/A\t") else columns.nanoseconds(str(text)) for text in texts]
    assert columns.decimal_nanoseconds(pa.chunked_array([texts], type=pa.string()).slice(0)).to_pylist() == expected
    assert columns.decimal_nanoseconds(pa.chunked_array([texts], type=pa.string()).slice(1)).to_pylist() == expected[1:]


@given(
    st.lists(st.one_of(st.integers(-1, 6), st.sampled_from([2**40, 2**62])), max_size=8),
    st.lists(st.one_of(st.integers(-1, 8), st.sampled_from([2**40, 2**62, 2**63 - 1])), max_size=8),
)
def test_ids_are_found_however_far_apart_they_lie(keys: list[int], wanted: list[int]) -> None:
    held, asked = np.array(keys, dtype="int64"), np.array(wanted, dtype="int64")
    known = ids.distinct(held)
    assert known.tolist() == sorted({key for key in keys if key >= 0})
    assert ids.place(held, asked).tolist() == [keys.index(one) if one in keys else -1 for one in wanted]
    assert ids.codes(held, known).tolist() == [-1 if key < 0 else known.tolist().index(key) for key in keys]


ROWS = st.tuples(
    st.integers(0, 3),
    st.sampled_from([None, 1, 2]),
    st.sampled_from([None, 7, 8]),
    st.sampled_from("ba"),
    st.integers(0, 2),
)


@settings(max_examples=60, deadline=None)
@given(st.lists(ROWS, max_size=12))
def test_kernels_are_in_the_documented_order(rows: list[tuple[object, ...]]) -> None:
    names = ["start_ns", "stream", "task", "name", "dur_ns"]
    table = pd.DataFrame(rows, columns=names).astype({name: events.KERNEL_COLUMNS[name][0] for name in names})
    table["blocks"] = pd.array(range(len(rows)), dtype="Int64")
    made = events.kernel_table(table)
    assert list(made.index) == list(range(len(rows)))
    pd.testing.assert_frame_equal(made[table.columns], table.sort_values(names, kind="stable", ignore_index=True))


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 4)), max_size=30))
def test_host_ranges_are_in_order_longer_ones_first(ranges: list[tuple[int, int]]) -> None:
    start, duration = [[row[at] for row in ranges] for at in (0, 1)]
    table = events.host_table({"start_ns": start, "dur_ns": duration, "thread": range(len(ranges))})
    expected = sorted(range(len(ranges)), key=lambda row: (start[row], -duration[row]))
    assert table["thread"].tolist() == expected
    assert table["dur_ns"].tolist() == [duration[row] for row in expected]


def test_a_kernel_table_is_its_own_unless_told_otherwise() -> None:
    start, stream = np.array([1, 2]), pd.array([5, 6], dtype="Int64")
    copied = events.kernel_table({"start_ns": start, "dur_ns": start, "stream": stream})
    kept = events.kernel_table({"start_ns": start, "dur_ns": start, "stream": stream}, copy=False)
    start[0], stream[0] = 0, 0
    assert (copied["start_ns"][0], copied["stream"][0]) == (1, 5)
    kept.loc[1, ["stream", "dur_ns"]] = 9
    assert kept["stream"].tolist()[1] == kept["dur_ns"].tolist()[1] == 9


@given(
    st.lists(
        st.one_of(
            MICROSECONDS.map(str),
            st.sampled_from(["1790085076511350.455", "9999999999999999.999", "179008507651135.0455", "null", ""]),
            st.sampled_from(["-1.250", "12\n3.400", "１.000", ".500", "1.", "12.5\t"]),
        ),
        max_size=9,
    )
)
def test_times_of_a_trace_equal_single_texts(values: list[str]) -> None:
    texts = Texts()
    for several in (values[:4], values[4:]):
        if several:
            texts.extend(several)
    made, missing = times(texts)
    assert [None if absent else value for value, absent in zip(made.tolist(), missing.tolist(), strict=True)] == [
        columns.nanoseconds(text) for text in values
    ]


@given(st.lists(st.one_of(st.decimals(0, 10**9, places=4), st.decimals(0, 10**5, places=8)), max_size=30))
def test_durations_round_the_decimal_text_and_not_the_double(values: list[Decimal]) -> None:
    made, missing = columns.float_nanoseconds([float(value) for value in values])
    assert made.tolist() == [int((value * 1000).quantize(Decimal(1), rounding=ROUND_HALF_UP)) for value in values]
    assert not missing.any()


def test_durations_of_other_kinds() -> None:
    made, missing = columns.float_nanoseconds([1.5, None, "2.0005", "x", float("inf")])
    assert made.tolist() == [1500, 0, 2001, 0, 0]
    assert missing.tolist() == [False, True, False, True, True]


@pytest.mark.parametrize(
    ("task_type", "name", "kind"),
    [
        ("AI_CORE", "MatMulV2_12", "kernel"),
        ("DSA_SQE", "aclnnDropoutGenMaskV2", "kernel"),
        ("KERNEL_MIX_AIC", "FusedInferAttentionScore", "kernel"),
        ("AI_VECTOR_CORE", "HcPre", "kernel"),
        ("SUPER_KERNEL_OF_TOMORROW", "x", "kernel"),
        ("EVENT_WAIT_SQE", "EVENT_WAIT", "wait"),
        ("Notify Wait", "Notify Wait", "wait"),
        ("EVENT_RECORD_SQE", "EVENT_RECORD", "record"),
        ("PLACE_HOLDER_SQE", "EVENT_RECORD", "record"),
        ("PCIE_DMA_SQE", "MEMCPY_ASYNC", "copy"),
        ("SDMA", "SDMA", "copy"),
        ("PLACE_HOLDER_SQE", "PROFILING_ENABLE", "other"),
        ("Other", "MEMCPY_ASYNC", "copy"),
        ("Other", "aclnnMm_MatMulCommon_MatMulV2", "kernel"),
        (None, "WaitForNothingKernel", "kernel"),
    ],
)
def test_kinds_of_device_tasks(task_type: str | None, name: str, kind: str) -> None:
    assert kind_of(task_type, name) == kind


def series(values: list[str]) -> object:
    import pandas as pd

    return pd.Series(pd.Categorical(values))


def test_fragments_inside_a_collective_count_once() -> None:
    kinds = collectives.kinds(
        {
            "start_ns": np.array([100, 110, 500, 900]),
            "dur_ns": np.array([200, 150, 10, 50]),
            "name": series(["hcom_allGather__1_0", "AivKernel", "MatMulV2", "allgatherAicpuKernel"]),
            "core": series(["COMMUNICATION", "AI_VECTOR_CORE", "AI_CORE", "AI_CPU"]),
        }
    )
    assert kinds.tolist() == ["collective", "collective_part", "kernel", "collective"]


def test_hyper_connections_are_no_collectives() -> None:
    kinds = collectives.kinds(
        {
            "start_ns": np.array([0, 10]),
            "dur_ns": np.array([5, 5]),
            "name": series(["HcPre_1", "HcPost_2"]),
            "core": series(["AI_VECTOR_CORE", "MIX_AIC"]),
        }
    )
    assert set(kinds) == {"kernel"}


RANGES = st.lists(st.tuples(st.integers(0, 60), st.integers(0, 40)), max_size=25)


@given(RANGES, st.lists(st.integers(-5, 110), max_size=20))
@settings(max_examples=200)
def test_innermost_finds_the_last_started_range_that_contains_a_time(
    ranges: list[tuple[int, int]], times: list[int]
) -> None:
    """Nested or not: ranges that overlap without nesting occur in real traces."""
    start = np.array([begin for begin, _ in ranges], dtype="int64")
    end = start + np.array([length for _, length in ranges], dtype="int64")
    found = links.innermost(start, end, np.array(times, dtype="int64"))
    for time, row in zip(times, found.tolist(), strict=True):
        containing = [(s, -e) for s, e in zip(start.tolist(), end.tolist(), strict=True) if s <= time <= e]
        assert (None if row < 0 else (start[row], -end[row])) == (max(containing) if containing else None)


@pytest.mark.parametrize(
    ("name", "inner", "kind"),
    [
        ("nn.Module: Linear_0", True, "module"),
        ("ProfilerStep#50", True, "step"),
        ("aten::linear", True, "op"),
        ("aclnnInplaceCopy", True, "op"),
        ("autograd::engine::evaluate_function: ReluBackward0", True, "op"),
        ("P09/step=4/NPUModelRunner._model_forward", True, "range"),
        ("Optimizer.step#SGD.step", True, "range"),
        ("decode", True, "range"),
        ("decode", False, "op"),
    ],
)
def test_scopes_are_told_from_operators(name: str, inner: bool, kind: str) -> None:
    words = [name, "aten::empty"]
    start, end = np.array([0, 10 if inner else 200]), np.array([100, 20 if inner else 210])
    host = {"name": np.array([0, 1]), "category": np.array([0, 0]), "start_ns": start, "end_ns": end}
    kinds = links.host_kinds(host | {"thread": np.array([1, 1])}, words, ["cpu_op"])
    assert kinds[0] == kind


def test_an_old_operator_inside_a_framework_operator_is_no_scope() -> None:
    words = ["aten::_convolution", "Conv2D", "Enqueue", "Attention"]
    start, end = np.array([0, 10, 15, 200]), np.array([100, 90, 16, 300])
    start, end = np.append(start, 210), np.append(end, 220)
    host = {"name": np.array([0, 1, 2, 3, 0]), "category": np.array([0, 0, 1, 0, 0]), "start_ns": start, "end_ns": end}
    kinds = links.host_kinds(host | {"thread": np.ones(5, dtype="int64")}, words, ["cpu_op", "enqueue"])
    assert kinds.tolist() == ["op", "op", "queue", "range", "op"]


def test_step_of_a_kernel_is_the_step_of_its_launch_as_the_profiler_counts() -> None:
    start = np.array([100, 200, 300, 400])
    launch = np.array([10, 20, -1, 60])
    assert links.step_ids([(7, 0, 30), (8, 31, 70)], start, launch).tolist() == [7, 7, pd.NA, 8]
