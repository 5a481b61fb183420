"""Comparing graphs without decoder layers: the published pairs, and small nets whose saving is planted."""

from __future__ import annotations

from pathlib import Path

import pytest
from conftest import captures
from rank_samples import write_ranks

from skadvisor import compare
from skadvisor.comparison.text import describe_comparison
from skadvisor.report.text import render_text

pytestmark = pytest.mark.slow

#: operator, input shapes, duration in us
NET = (
    ("GroupedMatmul", "64,512;1,512,256", 40),
    ("DequantSwigluQuant", "64,256", 9),
    ("CustomGelu", "N/A", 30),
    ("GroupedMatmul", "64,128;1,128,512", 30),
    ("DynamicQuant", "64,512", 20),
)
BOUNDARY_US = 1.5
BLOCK_US = sum(duration for *_, duration in NET) + BOUNDARY_US * (len(NET) - 1)
HOST_US = 700
COLUMNS = (
    "Model ID,Task ID,Stream ID,Op Name,OP Type,OP State,Task Type,Task Start Time(us),Task Duration(us),Block Num"
)
HASH = "5627ae2e224ad4f9560177b0e1611242ea683305d633895f76a36ce5d0b52fef_372483_d0"
SK = f"sk_{{0}}_{{1}}_start_static_kernel_GroupedMatmul_{HASH}_end_static_kernel_DynamicQuant_{HASH}"


def net(
    path: Path, executions: int, blocks: int = 1, *, saved: float | None = None, tasks: bool = True, rows: str = "64"
) -> Path:
    """`blocks` equal blocks, run `executions` times; with `saved` (us a block) each block is one SuperKernel."""
    lines, clock = [f"{COLUMNS},Input Shapes"], 1_000_000.0
    for execution in range(executions):
        for block in range(blocks):
            shapes = [shape.replace("64,", f"{rows},") for _, shape, _ in NET]
            rows_of_block = [(f"aclnn{op}_{op}", op, shape, us) for (op, _, us), shape in zip(NET, shapes, strict=True)]
            if saved is not None:
                name = SK.format(block, f"block_{block}" if blocks > 1 else "none")
                joined = ";".join(shape for shape in shapes if shape != "N/A")
                rows_of_block = [(name, "SuperKernel", joined, BLOCK_US - saved)]
            for place, (name, op, shape, us) in enumerate(rows_of_block):
                task = block * len(NET) + place + (0 if tasks else 1000 * execution)
                lines.append(f'3,{task},5,{name},{op},static,MIX_AIC,{clock:.3f},{us:.3f},20,"{shape}"')
                clock += us + BOUNDARY_US
        clock += HOST_US
    path.write_text("\n".join(lines) + "\n")
    return path


@pytest.mark.parametrize(
    ("name", "gain", "children", "scopes", "last"),
    [
        ("gelu-net", 4.1, 6, ["none"], 4.7),
        ("fifty-layers", 2.2, 5, [f"sk_test_layer_{n}" for n in range(46, 50)], None),
    ],
)
def test_the_published_pairs(name: str, gain: float, children: int, scopes: list[str], last: float | None) -> None:
    off, on = (captures("superkernel-pairs", f"{name}-{side}_op_summary.csv") for side in ("off", "on"))
    found = compare(off, on)
    assert found.improvement_pct == pytest.approx(gain, abs=0.2)
    assert found.unit == "executions" and found.unmapped == ()
    assert [(change.scope, change.children) for change in found.superkernels] == [(scope, children) for scope in scopes]
    text = render_text(describe_comparison(found), width=200)
    assert all(scope in text for scope in scopes)
    assert last is None or f"{last:.1f} %" in text


@pytest.mark.parametrize("tasks", [True, False])
@pytest.mark.parametrize(("executions", "blocks"), [(4, 1), (3, 4), (1, 4)])
def test_the_planted_saving_is_found(tmp_path: Path, tasks: bool, executions: int, blocks: int) -> None:
    off = net(tmp_path / "op_summary_off.csv", executions, blocks, tasks=tasks)
    on = net(tmp_path / "op_summary_on.csv", executions, blocks, saved=9.0, tasks=tasks)
    found = compare(off, on)
    assert found.before is not None and found.before.count == executions
    span = blocks * (BLOCK_US + BOUNDARY_US) - BOUNDARY_US
    assert found.improvement_pct == pytest.approx(100 * 9 * blocks / span, abs=0.01)
    assert [change.children for change in found.superkernels] == [len(NET)] * blocks
    assert found.template == ("automatic" if blocks == 1 else "per-block")
    assert found.verdict == ("beneficial" if executions > 2 else "insufficient_evidence")
    # what the SuperKernel joined keeps the shares that its kernels had
    regions = {change.region: change for change in found.regions}
    assert sum(change.before_us for change in regions.values()) == pytest.approx(129 * blocks)
    assert {change.basis for change in regions.values()} == {"derived"}
    kept = {change.after_us / change.before_us for change in regions.values()}
    assert max(kept) == pytest.approx(min(kept), rel=1e-3)


def test_another_number_of_executions_is_no_difference(tmp_path: Path) -> None:
    off, on = net(tmp_path / "a_op_summary.csv", 5), net(tmp_path / "b_op_summary.csv", 3, saved=9.0)
    assert compare(off, on).improvement_pct == pytest.approx(100 * 9 / BLOCK_US, abs=0.01)


def test_a_capture_that_begins_within_an_execution_loses_that_one(tmp_path: Path) -> None:
    off, on = net(tmp_path / "a_op_summary.csv", 5), net(tmp_path / "b_op_summary.csv", 3, saved=9.0)
    lines = off.read_text().splitlines()
    off.write_text("\n".join([lines[0], *lines[3:-1]]) + "\n")
    found = compare(off, on)
    assert found.before is not None and found.before.count == 3
    assert found.improvement_pct == pytest.approx(100 * 9 / BLOCK_US, abs=0.01)


def test_more_blocks_on_one_side_are_compared_block_by_block(tmp_path: Path) -> None:
    off, on = net(tmp_path / "a_op_summary.csv", 1, 4), net(tmp_path / "b_op_summary.csv", 1, 7, saved=9.0)
    found = compare(off, on)
    assert found.before is not None and found.after is not None
    assert (found.unit, found.before.count, found.after.count) == ("blocks", 4, 7)
    assert found.improvement_pct == pytest.approx(100 * 9 / BLOCK_US, abs=0.01)
    (change,) = found.superkernels
    assert change.operators == tuple(operator for operator, *_ in NET)
    off, on = (captures("superkernel-pairs", f"fifty-layers-{side}_op_summary.csv") for side in ("off", "on-longer"))
    assert compare(off, on).improvement_pct == pytest.approx(1.8, abs=0.3)


def test_another_batch_or_another_net_is_not_comparable(tmp_path: Path) -> None:
    off = net(tmp_path / "a_op_summary.csv", 3)
    assert {
        reason.code for reason in compare(off, net(tmp_path / "b_op_summary.csv", 3, saved=9.0, rows="128")).reasons
    }
    other = net(tmp_path / "c_op_summary.csv", 3, saved=9.0)
    other.write_text(other.read_text().replace("kernel_GroupedMatmul", "kernel_FlashAttention"))
    assert compare(off, other).verdict == "not_comparable"
    plain = net(tmp_path / "d_op_summary.csv", 3, rows="128")
    assert compare(off, plain).verdict == "not_comparable"
    assert compare(off, net(tmp_path / "e_op_summary.csv", 4)).verdict == "neutral"


def test_folders_of_ranks_show_every_rank_and_compare_the_pace_setter(tmp_path: Path) -> None:
    for name in ("off", "on"):
        (tmp_path / name).mkdir()
    write_ranks(tmp_path / "off", [0, 20_000], steps=3)
    write_ranks(tmp_path / "on", [0, 5_000], steps=3)
    found = compare(tmp_path / "off", tmp_path / "on")
    assert [change.rank for change in found.ranks] == [0, 1]
    assert [change.compared for change in found.ranks] == [False, True]
    assert found.before is not None and found.before.median_us == found.ranks[1].before_us
    assert "compared here" in render_text(describe_comparison(found), width=200)
    alone = compare(tmp_path / "off", tmp_path / "on", rank=0)
    assert alone.ranks == () and alone.improvement_pct is not None
