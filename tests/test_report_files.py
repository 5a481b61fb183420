"""Reports as files: HTML, JSON, workbook, trace and redaction hold what the result says, and nothing hostile."""

from __future__ import annotations

import gzip
import io
import json
import re
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path

import jsonschema
import openpyxl
import pandas as pd
import pytest
from example_results import ALL, HOSTILE_NAMES, dense_decode, eager_refusal, hostile, moe_decode

from skadvisor import records, report
from skadvisor.errors import InputError
from skadvisor.report.build import describe_result
from skadvisor.report.document import Code, Section
from skadvisor.report.html import render_html as html_of
from skadvisor.report.jsonfile import SCHEMA_FILE, schema_text
from skadvisor.report.redact import redact_kernels, redact_result
from skadvisor.report.text import render_text
from skadvisor.report.trace import render_trace
from skadvisor.report.workbook import render_workbook as workbook_of


def render_html(result: records.Result) -> str:
    return html_of(describe_result(result))


def render_json(result: records.Result, language: str = "en") -> bytes:
    return report.render_answer(report.result_answer(result), ".json", language)


def render_workbook(result: records.Result) -> bytes:
    return workbook_of(describe_result(result))


class Page(HTMLParser):
    """Collects tags with their attributes, and the text outside of scripts and styles."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self._raw = False
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        self._raw = tag in ("script", "style")

    def handle_endtag(self, tag: str) -> None:
        self._raw = False

    def handle_data(self, data: str) -> None:
        if not self._raw:
            self.words.append(data)


@pytest.mark.parametrize("name", ALL)
def test_html_is_one_offline_file(name: str) -> None:
    text = render_html(ALL[name]())
    page = Page(text)
    assert len(text.encode()) < 2_000_000
    for tag, attributes in page.tags:
        assert tag not in ("img", "iframe", "object", "embed", "form", "base")
        assert "src" not in attributes
        assert (attributes.get("href") or "#").startswith(("#", "data:,"))
        assert not [key for key in attributes if key.startswith("on")]
    assert [tag for tag, _attributes in page.tags].count("script") == 1
    assert "url(http" not in text and "@import" not in text


def test_html_shows_the_first_screen_before_anything_else() -> None:
    result = moe_decode()
    words = " ".join(Page(render_html(result)).words).replace("\N{NO-BREAK SPACE}", " ")
    order = [report.verdict(result), "claim", "What costs gain", "What to do next", "Templates compared"]
    places = [words.index(one) for one in order]
    assert places == sorted(places)


def test_html_names_stay_text() -> None:
    page = Page(render_html(hostile()))
    assert [tag for tag, _attributes in page.tags].count("script") == 1
    assert "document.title='owned'" in " ".join(page.words)


def test_html_of_many_kernels_and_steps_stays_small() -> None:
    from dataclasses import replace

    result = dense_decode()
    typical = result.typical_layers[0]
    many = tuple(replace(typical.kernels[place % 15], start_us=float(place)) for place in range(30_000))
    steps = tuple(replace(result.steps[1], index=place) for place in range(5_000))
    big = replace(result, typical_layers=(replace(typical, kernels=many),), steps=steps)
    assert len(render_html(big).encode()) < 5_000_000
    assert "longest 800 of 30000" in render_html(big)


def test_html_of_a_refusal_draws_the_step_instead_of_gains() -> None:
    text = render_html(eager_refusal())
    assert 'class="stack"' in text
    assert "b-claim" not in re.sub(r"<style>.*?</style>", "", text, flags=re.S)


def test_policy_names_the_script_that_is_there() -> None:
    import base64
    import hashlib

    text = render_html(dense_decode())
    script = re.search(r"<script>(.*?)</script>", text, re.S)
    assert script
    digest = base64.b64encode(hashlib.sha256(script[1].encode()).digest()).decode()
    assert f"'sha256-{digest}'" in text


def test_schema_file_is_current() -> None:
    assert SCHEMA_FILE.read_text(encoding="utf-8") == schema_text()


@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize("language", ["en", "zh"])
def test_json_follows_the_schema_and_goes_round(name: str, language: str) -> None:
    result = ALL[name]()
    written = render_json(result, language)
    schema = json.loads(SCHEMA_FILE.read_text(encoding="utf-8"))
    jsonschema.Draft202012Validator(schema).validate(json.loads(written))
    again, first = (json.loads(text) for text in (render_json(records.from_json(written), language), written))
    # The one sentence of the answer is made anew, from sentences that come back in the language they were written in.
    assert {**again, "answer": ""} == {**first, "answer": ""}


def test_schema_refuses_what_is_wrong() -> None:
    schema = json.loads(SCHEMA_FILE.read_text(encoding="utf-8"))
    wrong = json.loads(render_json(dense_decode()))
    wrong["recommendation"]["choice"] = "all"
    assert list(jsonschema.Draft202012Validator(schema).iter_errors(wrong))


@pytest.mark.parametrize("name", ALL)
def test_workbook_opens_and_holds_no_formula(name: str) -> None:
    workbook = openpyxl.load_workbook(io.BytesIO(render_workbook(ALL[name]())))
    for sheet in workbook:
        assert len(sheet.title) <= 31
        assert all(cell.data_type != "f" for row in sheet.iter_rows() for cell in row)


def test_workbook_has_the_strip_of_a_layer_in_order() -> None:
    result = moe_decode()
    typical = result.typical_layers[1]
    workbook = openpyxl.load_workbook(io.BytesIO(render_workbook(result)))
    sheet = next(one for one in workbook if one.title.startswith(f"Layer {typical.layer} "))
    rows = list(sheet.iter_rows(values_only=True))
    columns = {title: place for place, title in enumerate(rows[0])}
    strip = rows[1 : 1 + len(typical.kernels)]
    assert [row[columns["Operator"]] for row in strip] == [kernel.op_type for kernel in typical.kernels]
    assert [row[columns["Duration (µs)"]] for row in strip] == [kernel.dur_us for kernel in typical.kernels]
    for title in ("Stream", "Input shapes", "Gap before (µs)", "Share of layer (%)", "Region"):
        assert title in columns


def test_workbook_has_numbers_a_chart_and_the_kernels_of_the_step() -> None:
    from test_first_screens import analysed

    found = analysed("moe-decode")
    answer = report.result_answer(found.result, found.kernels, found.steps)
    workbook = openpyxl.load_workbook(io.BytesIO(report.render_answer(answer, ".xlsx")))
    assert len(set(workbook.sheetnames)) == len(workbook.sheetnames) and max(map(len, workbook.sheetnames)) <= 31
    (chart,) = [chart for sheet in workbook for chart in sheet._charts]
    assert chart.series
    step = next(one for one in found.result.steps if one.index == found.result.phases["decode"].step)
    rows = list(workbook[workbook.sheetnames[-1]].iter_rows(values_only=True))
    assert len(rows) == 1 + step.kernels
    durations = [row[rows[0].index("dur_ns")] for row in rows[1:]]
    assert all(isinstance(value, (int, float)) for value in durations) and sum(durations) >= 1000 * step.busy_us
    regions = next(sheet for sheet in workbook if sheet["B1"].value == "Region" and sheet["D1"].value == "Exposed (µs)")
    assert regions["D2"].number_format.startswith("#,##0") and isinstance(regions["D2"].value, float)


def small_capture() -> tuple[pd.DataFrame, pd.DataFrame]:
    """Two layers of two kernels at epoch times, one of them overlapping on a second stream."""
    epoch = 1_767_225_600_000_000_123
    kernels = pd.DataFrame(
        {
            "start_ns": [epoch, epoch + 1_000, epoch + 1_500, epoch + 4_001],
            "dur_ns": [900, 2_000, 999, 500],
            "name": ["a", "<script>", "c", "d"],
            "op_type": ["Add", "MatMulV2", None, "Cast"],
            "kind": ["kernel"] * 4,
            "stream": pd.array([1, 1, 2, None], dtype="Int64"),
            "input_shapes": ["1,2", None, None, "3"],
            "core": ["AI_CORE"] * 4,
            "step": [0, 0, 0, 0],
            "layer": pd.array([0, 0, 1, None], dtype="Int32"),
            "layer_kind": ["dense", "dense", "dense", None],
            "region": ["norm", "attention", "attention", "other"],
            "role": ["residual_norm", "qkv_proj", "unknown", "unknown"],
            "confidence": [1.0, 0.9, 0.5, 0.2],
            "module": ["net.secret"] * 4,
        }
    )
    steps = pd.DataFrame(
        {
            "step": [0],
            "phase": ["decode"],
            "start_ns": [epoch],
            "end_ns": [epoch + 4_501],
            "steady": [True],
            "layers": [2],
        }
    )
    return kernels, steps


def events_of(packed: bytes) -> tuple[list[dict], dict[tuple[int, int], str]]:
    events = json.loads(gzip.decompress(packed))["traceEvents"]
    lanes = {(e["pid"], e["tid"]): e["args"]["name"] for e in events if e["name"] == "thread_name"}
    return [event for event in events if event["ph"] == "X"], lanes


def test_trace_starts_at_zero_and_keeps_the_nanosecond() -> None:
    kernels, steps = small_capture()
    slices, lanes = events_of(render_trace(dense_decode(), kernels, steps))
    device = [one for one in slices if lanes[one["pid"], one["tid"]].startswith("stream")]
    assert sorted((one["ts"], one["dur"]) for one in device) == [(0.0, 0.9), (1.0, 2.0), (1.5, 0.999), (4.001, 0.5)]


def test_trace_says_the_moment_of_zero_and_what_it_is_of() -> None:
    kernels, steps = small_capture()
    result = dense_decode()
    about = json.loads(gzip.decompress(render_trace(result, kernels, steps)))["otherData"]
    assert int(about["base_time_ns"]) == kernels["start_ns"].min() and about["base_time_us"] == "1767225600000000.123"
    assert (about["capture"], about["tool"]) == (result.captures[0].path, f"skadvisor {result.tool.version}")


def test_trace_lanes_never_overlap_themselves() -> None:
    kernels, steps = small_capture()
    slices, lanes = events_of(render_trace(dense_decode(), kernels, steps))
    for lane in lanes:
        mine = sorted((one["ts"], one["ts"] + one["dur"]) for one in slices if (one["pid"], one["tid"]) == lane)
        assert all(before[1] <= after[0] for before, after in pairwise(mine)), lanes[lane]


def test_trace_draws_the_fragments_that_the_table_has() -> None:
    typical = dense_decode().typical_layers[0]
    kernels = pd.DataFrame(
        {
            "start_ns": [round(kernel.start_us * 1000) for kernel in typical.kernels],
            "dur_ns": [round(kernel.dur_us * 1000) for kernel in typical.kernels],
            "name": [kernel.name for kernel in typical.kernels],
            "op_type": [kernel.op_type for kernel in typical.kernels],
            "kind": ["kernel"] * len(typical.kernels),
            "stream": [kernel.stream for kernel in typical.kernels],
            "step": 0,
            "layer": pd.array([0] * len(typical.kernels), dtype="Int32"),
            "layer_kind": "dense",
            "region": [kernel.region for kernel in typical.kernels],
            "fusible": [kernel.fusible for kernel in typical.kernels],
            "fragment": pd.array([kernel.fragment for kernel in typical.kernels], dtype="Int64"),
            "in_scope": True,
        }
    )
    _kernels, steps = small_capture()
    slices, lanes = events_of(render_trace(dense_decode(), kernels, steps.assign(start_ns=0, end_ns=200_000)))
    count = {name: sum(lanes[one["pid"], one["tid"]] == name for one in slices) for name in ("fragments", "breakers")}
    assert count["fragments"] == len({kernel.fragment for kernel in typical.kernels} - {None})
    assert count["breakers"] == sum(kernel.fusible == "unlikely" for kernel in typical.kernels)


def private_result() -> records.Result:
    """The dense decode with places and people in every kind of text."""
    from dataclasses import replace

    from skadvisor.text.messages import Message

    result = dense_decode()
    said = (
        "read /data/alice/runs/x.csv on node17 (10.1.2.3) by alice@corp.example, see C:\\Users\\alice\\y and ~alice/z"
    )
    notices = (
        records.Notice(code="file", message=Message("{text}", text=said)),
        records.Notice(code="plain", message=Message(said)),
    )
    return replace(result, warnings=notices)


def test_redaction_hides_places_and_people_everywhere() -> None:
    result = redact_result(private_result())
    for text in (
        render_json(result).decode(),
        render_html(result),
        render_text(describe_result(result), width=200, detail=True),
    ):
        for secret in ("alice", "node17", "10.1.2.3", "corp.example", "/data/"):
            assert secret not in text
    assert "kernel_details.csv" in render_json(result).decode()


def test_redaction_keeps_every_figure() -> None:
    plain, hidden = dense_decode(), redact_result(dense_decode(), op_names=True)
    assert hidden.templates[0].estimate == plain.templates[0].estimate
    assert hidden.regions == plain.regions
    assert [kernel.dur_us for kernel in hidden.typical_layers[0].kernels] == [
        kernel.dur_us for kernel in plain.typical_layers[0].kernels
    ]
    assert hidden.recommendation.choice == plain.recommendation.choice


def test_redaction_of_operator_names_is_whole_and_consistent() -> None:
    result = redact_result(dense_decode(), op_names=True)
    text = render_json(result).decode()
    for name in {kernel.op_type for kernel in dense_decode().typical_layers[0].kernels}:
        assert not re.search(rf'"{re.escape(name)}"', text), name
    kernels = result.typical_layers[0].kernels
    plain = dense_decode().typical_layers[0].kernels
    stand_ins = {one.op_type: other.op_type for one, other in zip(plain, kernels, strict=True)}
    assert len(set(stand_ins.values())) == len(stand_ins)
    assert result.templates[0].breakers[0].op_type == stand_ins["Cast"]


def test_redaction_keeps_units_and_ratios() -> None:
    from dataclasses import replace

    from skadvisor.text.messages import Message

    said = "1200 tokens/s, 5/12 layers, INT8/BF16, read/write"
    result = redact_result(replace(dense_decode(), warnings=(records.Notice(code="x", message=Message(said)),)))
    assert str(result.warnings[0].message) == said


def test_redacted_tables_hide_ranges_of_code() -> None:
    kernels, _steps = small_capture()
    hidden = redact_kernels(kernels, op_names=True)
    assert not hidden["module"].astype(str).str.contains("secret").any()
    assert hidden["op_type"].isna().tolist() == kernels["op_type"].isna().tolist()
    assert hidden["dur_ns"].tolist() == kernels["dur_ns"].tolist()


def test_write_chooses_by_suffix_and_never_overwrites(tmp_path: Path) -> None:
    kernels, steps = small_capture()
    for suffix in (*report.SUFFIXES, report.TRACE):
        path = tmp_path / f"report{suffix}"
        assert report.write(dense_decode(), path, kernels=kernels, steps=steps) == path
        before = path.read_bytes()
        with pytest.raises(InputError, match="exists"):
            report.write(moe_decode(), path, kernels=kernels, steps=steps)
        assert path.read_bytes() == before
        report.write(moe_decode(), path, kernels=kernels, steps=steps, force=True)
    assert sorted(one.name for one in tmp_path.iterdir()) == sorted(
        f"report{suffix}" for suffix in (*report.SUFFIXES, report.TRACE)
    )


def test_write_refuses_what_it_cannot_do(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="format"):
        report.write(dense_decode(), tmp_path / "report.pdf")
    with pytest.raises(InputError, match="kernel table"):
        report.write(dense_decode(), tmp_path / "trace.json.gz")
    with pytest.raises(InputError):
        report.write(dense_decode(), tmp_path / "missing" / "report.html")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", ["dense", "moe"])
def test_the_same_result_gives_the_same_bytes(name: str) -> None:
    assert render_html(ALL[name]()) == render_html(ALL[name]())
    kernels, steps = small_capture()
    assert render_trace(ALL[name](), kernels, steps) == render_trace(ALL[name](), kernels.sample(frac=1), steps)


def test_hostile_names_are_all_among_the_examples() -> None:
    text = render_json(hostile()).decode()
    assert set(HOSTILE_NAMES) <= {kernel["name"] for kernel in json.loads(text)["typical_layers"][0]["kernels"]}


CODE = "with scope('a<b', \"x\"):\n    y = 1  # see ```"


@pytest.mark.parametrize("suffix", [".html", ".md", ".txt"])
def test_code_is_shown_as_it_is_typed(tmp_path: Path, suffix: str) -> None:
    sections = (Section("plan", "What to type", codes=(Code("Scope", "python", CODE),)),)
    answer = report.result_answer(dense_decode(), plan=lambda _language: sections)
    text = report.write_answer(answer, tmp_path / f"report{suffix}").read_text(encoding="utf-8")
    assert CODE in ("".join(Page(text).words) if suffix == ".html" else text)


def test_ranks_are_compared_where_there_are_several() -> None:
    from dataclasses import replace

    from skadvisor.text.messages import Message

    rank = records.RankRecord(rank=0, path="a", state="read", reference=True, wall_us=4987.3, wait_us=12.5)
    lost = records.RankRecord(rank=7, path="b", state="unreadable", reason=Message("cut off"))
    text = render_text(describe_result(replace(dense_decode(), ranks=(rank, lost))), width=160, detail=True)
    lines = [line for line in text.partition("Ranks compared")[2].splitlines() if line.strip()]
    assert any("4,987.3" in line and "12.5" in line and "reference" in line for line in lines)
    assert any("cut off" in line and "unknown" in line for line in lines)
    assert "Ranks compared" not in render_text(describe_result(dense_decode()))
