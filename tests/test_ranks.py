"""Many ranks: one answer, waiting and uneven work that were planted, and the same JSON however it is computed."""

from __future__ import annotations

import gc
import json
import os
import shutil
import signal
import sqlite3
import threading
import time
from dataclasses import replace
from itertools import permutations
from pathlib import Path

import numpy as np
import pytest
from conftest import captures
from example_results import dense_decode, moe_decode
from rank_samples import SMALL_MOE, write_ranks

from skadvisor import records
from skadvisor.analysis import analyze
from skadvisor.errors import InputError, NotEnoughError
from skadvisor.ranks.analysis import Place, analyze_ranks, find_places
from skadvisor.ranks.merge import Merger
from skadvisor.ranks.one_run import Member, check_one_run
from skadvisor.ranks.stragglers import Collectives
from skadvisor.ranks.summary import RankAnswer
from skadvisor.records import Notice, Result
from skadvisor.text.messages import Message

SLOW = [0, 30_000, 0, 5_000]


def codes(result: Result) -> list[str]:
    return [notice.code for notice in result.warnings]


def message(result: Result, code: str) -> str:
    return next(str(notice.message) for notice in result.warnings if notice.code == code)


# Putting answers together


def answer(result: Result, rank: int, collective_ns: int, **changes) -> RankAnswer:
    """What a worker sends for a rank whose only collective takes so long in each of three steps."""
    capture = replace(result.captures[0], rank=rank, path=f"rank{rank}")
    made = RankAnswer(
        result=replace(result, captures=(capture,)),
        collectives=Collectives(
            np.arange(3) * 10**7,
            np.arange(3),
            np.array(["all_reduce"] * 3, dtype=object),
            np.full(3, collective_ns, dtype="int64"),
        ),
        comm_us=collective_ns / 1000,
        expert_us=None,
        pipeline=None,
    )
    return replace(made, **changes)


def merged(answers: list[RankAnswer | Exception]) -> Result:
    merger = Merger()
    for rank, one in enumerate(answers):
        merger.add(Place(f"rank{rank}", rank), one)
    return merger.result()


def test_one_rank_alone_keeps_its_own_result():
    one = answer(dense_decode(), 0, 1000)
    assert merged([one]) is one.result


def test_the_rank_that_waits_least_is_shown_and_the_waiting_is_the_rest():
    base = dense_decode()
    wall = base.phases["decode"].wall_us
    long = round(wall * 1000 * 0.2)
    result = merged([answer(base, 0, long), answer(base, 1, 1000), answer(base, 2, long)])
    assert [record.reference for record in result.ranks] == [False, True, False]
    assert [record.wait_us for record in result.ranks] == [(long - 1000) / 1000, 0.0, (long - 1000) / 1000]
    assert [record.slow for record in result.ranks] == [False, True, False]
    assert "rank 1" in message(result, "rank_slow")
    assert "rank_wait" in codes(result)
    assert [capture.rank for capture in result.captures] == [0, 1, 2]


def test_equal_ranks_are_neither_slow_nor_waiting():
    result = merged([answer(dense_decode(), rank, 1000) for rank in range(4)])
    assert not any(record.slow for record in result.ranks)
    assert {"rank_slow", "rank_wait", "pipeline_stages", "ranks_differ", "ranks_disagree"}.isdisjoint(codes(result))
    assert {record.stage for record in result.ranks} == {0}
    assert result.recommendation.choice == "attention-only"
    assert "4 of 4 ranks" in str(result.recommendation.robustness[-2])


def test_the_order_of_arrival_changes_nothing():
    base = dense_decode()
    answers = [
        answer(base, 0, 5000),
        answer(replace(base, warnings=(Notice(code="odd", message=Message("odd")),)), 1, 1000),
        answer(moe_decode(), 2, 3000),
        InputError("damaged"),
        InputError("gone"),
    ]
    made = set()
    for order in permutations(range(5)):
        merger = Merger()
        for rank in order:
            merger.add(Place(f"rank{rank}", rank), answers[rank])
        made.add(records.to_json(merger.result()))
    assert len(made) == 1


def test_ranks_that_disagree_are_said_and_lower_the_confidence():
    base = dense_decode()
    other = replace(base, recommendation=replace(base.recommendation, choice="none"))
    result = merged([answer(base, 0, 1000), answer(other, 1, 2000), answer(base, 2, 2000), answer(base, 3, 2000)])
    assert result.recommendation.choice == "attention-only"
    assert result.recommendation.confidence == pytest.approx(0.75 * base.recommendation.confidence, abs=1e-4)
    assert "attention-only, none" in message(result, "ranks_disagree")


def test_the_estimate_of_each_rank_is_that_of_the_common_choice():
    result = merged([answer(dense_decode(), rank, 1000) for rank in range(2)])
    (chosen,) = [template for template in result.templates if template.name == "attention-only"]
    assert [record.estimate for record in result.ranks] == [chosen.estimate] * 2


def test_uneven_expert_work_is_named():
    answers = [answer(moe_decode(), rank, 1000, expert_us=time) for rank, time in enumerate([100.0, 100.0, 160.0])]
    assert "rank 2" in message(merged(answers), "expert_imbalance")
    even = [answer(moe_decode(), rank, 1000, expert_us=time) for rank, time in enumerate([100.0, 104.0, 99.0])]
    assert "expert_imbalance" not in codes(merged(even))


def test_pipeline_stages_are_told_apart_and_the_slowest_is_shown():
    dense, moe = dense_decode(), moe_decode()
    answers = [answer(dense, rank, 1000, pipeline=0) for rank in (0, 1)]
    answers += [answer(moe, rank, 1000, pipeline=1) for rank in (2, 3)]
    result = merged(answers)
    assert [record.stage for record in result.ranks] == [0, 0, 1, 1]
    assert result.ranks[2].reference, "the stage with the longer work sets the pace"
    assert "0, 1: dense x24; 2, 3: dense x3, moe x58" in message(result, "pipeline_stages")


def test_stages_without_metadata_are_known_by_embedding_and_head():
    def without(result: Result, region: str) -> Result:
        return replace(result, regions=tuple(row for row in result.regions if row.region != region))

    first, last = without(dense_decode(), "head"), without(moe_decode(), "embedding")
    assert "pipeline_stages" in codes(merged([answer(first, 0, 1000), answer(last, 1, 1000)]))
    unclear = merged([answer(dense_decode(), 0, 1000), answer(moe_decode(), 1, 1000)])
    assert "ranks_differ" in codes(unclear)
    assert "pipeline_stages" not in codes(unclear)


def test_an_unreadable_rank_is_listed_with_its_reason():
    result = merged([answer(dense_decode(), 0, 1000), InputError("kernel_details.csv is cut off"), KeyError("x")])
    assert [record.state for record in result.ranks] == ["read", "unreadable", "unreadable"]
    assert str(result.ranks[1].reason) == "kernel_details.csv is cut off"
    assert "KeyError" in str(result.ranks[2].reason)
    assert codes(result).count("rank_unreadable") == 2
    assert result.recommendation.choice == "attention-only"
    assert records.from_json(records.to_json(result)) == result


def test_where_no_rank_can_be_read_the_first_reason_is_told():
    with pytest.raises(NotEnoughError, match=r"none of 2 ranks .*; the first: no kernels"):
        merged([NotEnoughError("no kernels"), NotEnoughError("no kernels here")])
    with pytest.raises(InputError, match=r"^gone$"):
        merged([InputError("gone")])
    with pytest.raises(ZeroDivisionError):
        merged([InputError("gone"), ZeroDivisionError()])


def test_several_runs_of_one_rank_are_listed_and_not_merged():
    merger = Merger()
    merger.add(Place("old", 0), answer(dense_decode(), 0, 1000))
    merger.add(Place("new", 0), answer(dense_decode(), 0, 9_000_000))
    with pytest.raises(InputError, match="not one run: rank 0 was recorded 2 times") as refused:
        merger.result()
    assert "old" in refused.value.hint and "new" in refused.value.hint


def test_prefill_and_decode_ranks_are_apart_and_decode_is_answered():
    decode = dense_decode()
    prefill = replace(decode, phase="prefill", phases={"prefill": replace(decode.phases["decode"], phase="prefill")})
    result = merged([answer(prefill, 0, 1), answer(decode, 1, 1000)])
    assert result.phase == "decode"
    assert [record.reference for record in result.ranks] == [False, True]


def test_warnings_of_other_ranks_are_kept_once_and_counted():
    base = dense_decode()
    truncated = replace(base, warnings=(*base.warnings, Notice(code="truncated", message=Message("cut off"))))
    answers = [answer(base, 0, 1000), answer(truncated, 1, 2000), answer(truncated, 2, 2000)]
    assert message(merged(answers), "truncated") == "rank 1: cut off (and 1 more ranks)"


def test_what_one_rank_cannot_tell_is_not_said_once_the_ranks_were_compared():
    alone = replace(dense_decode(), warnings=(Notice(code="collectives", message=Message("one rank cannot tell")),))
    assert "collectives" not in codes(merged([answer(alone, 0, 1000), answer(alone, 1, 1000)]))


@pytest.mark.slow
def test_only_one_full_result_of_equal_ranks_is_kept():
    def results() -> int:
        gc.collect()
        return sum(isinstance(value, Result) for value in gc.get_objects())

    before = results()
    merger = Merger()
    for rank in range(50):
        merger.add(Place(f"rank{rank}", rank), answer(dense_decode(), rank, 1000 + rank))
    assert results() - before == 1
    assert len(merger.result().ranks) == 50


# Captures on disk


@pytest.fixture(scope="module")
def ranks(tmp_path_factory):
    return write_ranks(tmp_path_factory.mktemp("ranks"), SLOW)


@pytest.fixture(scope="module")
def serial(ranks):
    return analyze_ranks(ranks.folder, workers=1).result


def test_planted_waiting_and_expert_work_are_found_to_the_nanosecond(ranks, serial):
    steady = [step.index for step in serial.steps if step.steady and step.phase == "decode"]
    for record, wait, expert in zip(serial.ranks, ranks.wait_ns, ranks.expert_ns, strict=True):
        assert record.wait_us == pytest.approx(np.median(wait[steady]) / 1000, abs=0.001)
        assert record.expert_us == pytest.approx(np.median(expert[steady]) / 1000, abs=0.001)
    assert [record.slow for record in serial.ranks] == [False, True, False, False]
    assert [record.reference for record in serial.ranks] == [False, True, False, False]
    assert "rank 1" in message(serial, "rank_slow")
    assert "expert_imbalance" in codes(serial)


@pytest.mark.slow
def test_processes_give_the_same_json_as_one_by_one(ranks, serial):
    assert records.to_json(analyze_ranks(ranks.folder, workers=2).result) == records.to_json(serial)


@pytest.fixture(scope="module")
def dask_cluster():
    distributed = pytest.importorskip("distributed", reason="Dask is not installed (extra `cluster`)")
    with distributed.LocalCluster(
        n_workers=2, threads_per_worker=1, processes=True, host="127.0.0.1", dashboard_address=None
    ) as made:
        yield made


@pytest.mark.slow
def test_dask_gives_the_same_json(ranks, serial, dask_cluster):
    result = analyze_ranks(ranks.folder, scheduler=dask_cluster.scheduler_address).result
    assert records.to_json(result) == records.to_json(serial)


@pytest.mark.slow
def test_dask_gives_the_same_json_from_urls(ranks, serial, dask_cluster):
    result = analyze_ranks(f"file://{ranks.folder}", scheduler=dask_cluster.scheduler_address).result
    text = records.to_json(result).decode().replace(f"file://{ranks.folder}", str(ranks.folder))
    assert text == records.to_json(serial).decode()


@pytest.mark.slow
def test_a_dask_worker_killed_while_it_analyses_changes_nothing(ranks, serial, dask_cluster):
    from distributed import Client

    made = []
    with Client(dask_cluster.scheduler_address, set_as_default=False) as client:
        pids = client.run(os.getpid)
        thread = threading.Thread(target=lambda: made.append(analyze_ranks(ranks.folder, client=client).result))
        thread.start()
        end = time.monotonic() + 30
        while not (busy := [worker for worker, tasks in client.processing().items() if len(tasks) > 1]):
            assert time.monotonic() < end, "no worker was busy"
        os.kill(pids[busy[0]], signal.SIGKILL)
        thread.join(timeout=120)
    assert records.to_json(made[0]) == records.to_json(serial)


@pytest.mark.slow
def test_urls_give_the_same_answer(ranks, serial):
    pytest.importorskip("fsspec", reason="fsspec is not installed (extra `cluster`)")
    result = analyze_ranks(f"file://{ranks.folder}", workers=1).result
    text = records.to_json(result).decode().replace(f"file://{ranks.folder}", str(ranks.folder))
    assert text == records.to_json(serial).decode()


@pytest.mark.slow
def test_the_list_of_folders_in_any_order_is_the_same_as_the_folder_above(ranks, serial):
    assert records.to_json(analyze_ranks(reversed(ranks.paths), workers=1).result) == records.to_json(serial)


def test_the_reference_rank_answers_as_it_does_alone(ranks, serial):
    alone = analyze(ranks.paths[1]).result
    for field in ("mode", "phase", "steps", "phases", "layers", "regions", "templates", "typical_layers", "labels"):
        assert getattr(serial, field) == getattr(alone, field), field
    assert serial.recommendation.choice == alone.recommendation.choice


@pytest.mark.slow
def test_one_rank_in_a_folder_is_the_plain_analysis(ranks, serial):
    made = analyze_ranks(ranks.paths[0])
    assert records.to_json(made.result) == records.to_json(analyze(ranks.paths[0]).result)
    assert made.alone is not None
    assert "region" in made.alone.kernels
    assert analyze_ranks(ranks.paths[:2], workers=1).alone is None


@pytest.mark.slow
@pytest.mark.parametrize("how", ["one by one", "processes", "dask"])
def test_the_users_files_are_checked_before_the_work_and_reach_every_worker(ranks, tmp_path, how, dask_cluster):
    ways = {"one by one": {"workers": 1}, "processes": {"workers": 2}}
    way = ways.get(how, {"scheduler": dask_cluster.scheduler_address})
    wrong = tmp_path / "mine.toml"
    wrong.write_text('[[operator]]\nrole = "nonsense"\n')
    with pytest.raises(InputError, match=f"^{wrong} is not an operator file"):
        analyze_ranks(ranks.folder, operators=wrong, **way)
    with pytest.raises(InputError, match=r"cannot read .*missing\.toml"):
        analyze_ranks(ranks.folder, operators=tmp_path / "missing.toml", **way)
    right = tmp_path / "right.toml"
    right.write_text('[[operator]]\nrole = "norm"\nnames = ["mynorm"]\nsource = "a test"\n')
    told = analyze_ranks(ranks.folder, operators=right, **way).result
    assert told.templates == analyze(ranks.paths[1], operators=right).result.templates


def test_rows_that_sqlite_keeps_beside_a_ledger_travel_with_it(tmp_path):
    from skadvisor.ranks.analysis import _attach_database

    ledger = tmp_path / "ledger.db"
    writer = sqlite3.connect(ledger)
    writer.execute("PRAGMA journal_mode = WAL")
    writer.execute("CREATE TABLE forecast (gain REAL)")
    writer.execute("INSERT INTO forecast VALUES (2.5)")
    writer.commit()
    assert (tmp_path / "ledger.db-wal").stat().st_size > 0
    attachment = _attach_database(ledger)
    assert attachment is not None
    (tmp_path / "elsewhere.db").write_bytes(attachment.content)
    assert sqlite3.connect(tmp_path / "elsewhere.db").execute("SELECT gain FROM forecast").fetchall() == [(2.5,)]
    writer.close()
    (tmp_path / "no.db").write_text("no database")
    with pytest.raises(InputError, match="is no ledger"):
        _attach_database(tmp_path / "no.db")


@pytest.mark.slow
def test_a_damaged_rank_leaves_the_answer_of_the_others(ranks, serial, tmp_path):
    folder = tmp_path / "damaged"
    shutil.copytree(ranks.folder, folder)
    victim = folder / ranks.paths[2].name / "ASCEND_PROFILER_OUTPUT" / "kernel_details.csv"
    lines = victim.read_text().splitlines()
    victim.write_text(lines[0] + "\n")
    result = analyze_ranks(folder, workers=2).result
    assert [record.state for record in result.ranks] == ["read", "read", "unreadable", "read"]
    assert "rank 2" in message(result, "rank_unreadable")
    assert result.templates == serial.templates
    assert result.ranks[0].wait_us == serial.ranks[0].wait_us


@pytest.mark.slow
def test_pipeline_groups_in_the_metadata_make_stages(tmp_path):
    from sample_builder.model import ModelDescription

    shapes = {name: getattr(SMALL_MOE, name) for name in SMALL_MOE.__dataclass_fields__}
    front, back = ModelDescription(**{**shapes, "layers": 4}), SMALL_MOE
    groups = [{"parallel_group_info": {"group_name_19": {"group_name": "pp", "group_rank": stage}}} for stage in (0, 1)]
    write_ranks(tmp_path / "front", [0], description=front, metadata=groups[:1])
    write_ranks(tmp_path / "back", [0], description=back, metadata=groups[1:])
    one, two = (next((tmp_path / name).iterdir()) for name in ("front", "back"))
    (two / "profiler_info_0.json").rename(two / "profiler_info_1.json")
    (two / "profiler_info_1.json").write_text(json.dumps({"rank_id": 1}))
    result = analyze_ranks([one, two], workers=1).result
    assert [record.stage for record in result.ranks] == [0, 1]
    assert "pipeline_stages" in codes(result)
    assert result.ranks[1].reference, "six layers take longer than four"


@pytest.mark.slow
def test_inputs_are_never_changed(ranks):
    before = {path: path.stat().st_mtime_ns for path in ranks.folder.rglob("*")}
    analyze_ranks(ranks.folder, workers=2)
    assert {path: path.stat().st_mtime_ns for path in ranks.folder.rglob("*")} == before


def test_places_are_found_by_rank(ranks):
    places = find_places(ranks.folder)
    assert [place.rank for place in places] == [0, 1, 2, 3]
    assert [Path(place.path) for place in places] == list(ranks.paths)


def test_missing_paths_and_no_paths_are_input_errors(tmp_path):
    with pytest.raises(InputError, match="does not exist"):
        analyze_ranks(tmp_path / "missing")
    with pytest.raises(InputError, match="no profiler capture"):
        analyze_ranks(tmp_path)
    with pytest.raises(InputError, match="no capture was named"):
        analyze_ranks([])


def test_two_real_training_ranks_are_pipeline_stages():
    result = analyze_ranks(captures("qwen3-0.6b-training"), workers=2).result
    assert [record.rank for record in result.ranks] == [0, 2]
    assert {record.state for record in result.ranks} == {"read"}
    assert [record.stage for record in result.ranks] == [0, 1]
    assert "pipeline_stages" in codes(result)
    assert all(record.wait_us is not None and 0 < record.wait_us < record.comm_us for record in result.ranks)
    assert result.recommendation.choice == "none"


def test_the_later_rank_of_the_shipped_pair_is_the_one_that_is_waited_for():
    result = analyze_ranks(Path(__file__).resolve().parents[1] / "profiles" / "moe-two-ranks", workers=1).result
    early, late = result.ranks
    assert (early.slow, late.slow, late.reference) == (False, True, True)
    assert early.wait_us > late.wait_us
    assert "rank 1" in message(result, "rank_slow")


@pytest.mark.parametrize(
    ("ranks", "apart_ns", "words"),
    [
        ((0, 1), 10**9, None),
        ((0, 1), 61 * 10**9, "other sessions"),
        ((None, None), -1, None),
        ((None, None), 10**9, "other sessions"),
        ((3, 3), -1, "rank 3 was recorded 2 times"),
    ],
)
def test_ranks_of_one_run_are_recorded_once_and_together(ranks, apart_ns, words):
    members = [
        Member(path, rank, "decode", 1024, (start, start + 1_000))
        for path, rank, start in zip("ab", ranks, (0, 1_000 + apart_ns), strict=True)
    ]
    if words is None:
        check_one_run(members)
    else:
        with pytest.raises(InputError, match=words):
            check_one_run(members)
    with pytest.raises(InputError, match="hidden sizes 1024, 2048"):
        check_one_run([*members[:1], replace(members[0], rank=7, hidden=2048)])
    check_one_run([members[0], replace(members[0], phase="prefill")])


@pytest.mark.parametrize("numbered", [False, True])
def test_copies_of_a_capture_are_no_ranks(tmp_path, numbered):
    """One capture with copies beside it is answered as it is alone; a copy beside ranks is none of them."""
    written = write_ranks(tmp_path / "run", SLOW[: 2 if numbered else 1])
    table = written.paths[0] / "ASCEND_PROFILER_OUTPUT" / "kernel_details.csv"
    places = list(written.paths) if numbered else []
    for number in range(2):
        place = tmp_path / f"copy{number}" / "kernel_details.csv"
        place.parent.mkdir()
        shutil.copy(table, place)
        places.append(place)
    result = analyze_ranks(places).result
    known = analyze_ranks(places[:-2] or places[:1]).result
    assert "copies" in codes(result) and "copies" not in codes(known)
    assert len(result.ranks) == len(known.ranks) == (2 if numbered else 0)
    assert result.recommendation == known.recommendation
