"""The recipes configuration: found in both forms, changed only where it must, kept byte for byte elsewhere."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ruamel.yaml import YAML

from skadvisor.errors import InputError
from skadvisor.plan.recipe_config import ConfigReview, fitting_dialect, review, review_content, write

PATH = Path("config.yaml")
NESTED = """\
model_name: "tiny"  # kept

model_config:
  model_name: "tiny"
  exe_mode: "eager"        # ["eager", "npugraph_ex", "ge_graph"]
  enable_cache_compile: True   # [False, True]
  custom_params:
    enable_multi_streams: True
    enable_superkernel: False  # Whether enable superkernel
    moe_chunk_max_len: 65536

scheduler_config:
  batch_size: 64
"""
FLAT = """\
model_name: tiny
exe_mode: acl_graph          # mode of decode
world_size: 16
model_config:
  enable_superkernel: false
  enable_multi_streams: 0
  enable_cache_compile: False
  list:
    - a
    -   b
"""


def change(text: str, **needs: Any) -> ConfigReview:
    reviewed = review_content(PATH, text.encode(), **needs)
    assert reviewed.declined is None, str(reviewed.declined)
    return reviewed


def changed_lines(reviewed: ConfigReview) -> list[str]:
    lines = reviewed.diff.splitlines()[2:]
    return [line for line in lines if line[0] in "+-"]


def test_the_nested_form_changes_in_three_places_only() -> None:
    reviewed = change(NESTED)
    assert changed_lines(reviewed) == [
        '-  exe_mode: "eager"        # ["eager", "npugraph_ex", "ge_graph"]',
        "-  enable_cache_compile: True   # [False, True]",
        '+  exe_mode: "ge_graph"        # ["eager", "npugraph_ex", "ge_graph"]',
        "+  enable_cache_compile: False   # [False, True]",
        "-    enable_superkernel: False  # Whether enable superkernel",
        "+    enable_superkernel: True  # Whether enable superkernel",
    ]
    warned = {finding.key for finding in reviewed.findings if finding.status == "warn"}
    assert warned == {"model_config.custom_params.enable_multi_streams"}


def test_the_flat_form_keeps_its_place_and_style() -> None:
    reviewed = change(FLAT, several_streams=True)
    assert changed_lines(reviewed) == [
        "-exe_mode: acl_graph          # mode of decode",
        "+exe_mode: ge_graph          # mode of decode",
        "-  enable_superkernel: false",
        "+  enable_superkernel: True",
    ]
    assert {finding.status for finding in reviewed.findings if "multi" in finding.key} == {"warn"}


def test_what_is_right_already_stays_untouched() -> None:
    once = change(NESTED)
    again = change(once.after.decode())
    assert again.after == once.after
    assert again.diff == ""
    assert all(finding.status != "block" for finding in again.findings)


def test_a_mixed_file_is_read_in_both_places() -> None:
    text = "exe_mode: npugraph_ex\nmodel_config:\n  custom_params:\n    enable_superkernel: True\n"
    reviewed = change(text, dialect="npugraph_ex")
    assert changed_lines(reviewed) == ["+  enable_static_kernel: True"]


def decline(text: str, name: str = "config.yaml", **needs: Any) -> tuple[str, str]:
    """The reason of a refusal, and what its findings say."""
    reviewed = review_content(Path(name), text.encode(), **needs)
    assert reviewed.declined is not None and reviewed.after == reviewed.before
    return str(reviewed.declined), " ".join(str(finding.message) for finding in reviewed.findings)


@pytest.mark.parametrize(
    ("mode", "asked", "ways"),
    [
        ("npugraph_ex", "recipes", ("--dialect npugraph_ex", "exe_mode: ge_graph")),
        ("npugraph_ex", "ge", ("--dialect npugraph_ex", "exe_mode: ge_graph")),
        ("ge_graph", "npugraph_ex", ("--dialect recipes", "exe_mode: npugraph_ex")),
    ],
)
def test_a_scope_of_another_graph_is_refused_with_both_ways_out(mode: str, asked: Any, ways: tuple[str, str]) -> None:
    reason, findings = decline(f"model_config:\n  exe_mode: {mode}\n  custom_params: {{}}\n", dialect=asked)
    assert "no effect" in reason
    assert all(way in findings for way in ways)


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("prefill_rank_8.yaml", NESTED, "prefill"),
        ("config.yaml", NESTED + "  max_new_tokens: 1\n", "one token"),
        ("config.yaml", NESTED.replace(', "ge_graph"]', "]"), "own comment allows eager, npugraph_ex only"),
    ],
)
def test_what_never_decodes_or_cannot_run_as_a_graph_is_refused(name: str, text: str, words: str) -> None:
    assert words in decline(text, name)[0]


def test_the_comment_on_the_switch_is_honoured() -> None:
    text = "model_config:\n  exe_mode: npugraph_ex\n  custom_params:\n    enable_superkernel: False  # ge_graph only\n"
    assert "ge_graph only" in decline(text, dialect="npugraph_ex")[0]
    assert "exe_mode: ge_graph" in decline(text, dialect="recipes")[1]


def test_static_kernels_go_with_npugraph_ex_only() -> None:
    text = (
        "model_config:\n  exe_mode: eager\n  enable_static_kernel: {}\n  custom_params:\n    enable_superkernel: True\n"
    )
    assert "+  enable_static_kernel: False" in change(text.format("True")).diff
    assert "+  enable_static_kernel: True" in change(text.format("False"), dialect="npugraph_ex").diff


CHECKS = """
def check(self):
    exe_mode = self.model_config.exe_mode
    enable_superkernel = self.custom_params.get("enable_superkernel", False)
    graph_only = self.cache or enable_superkernel
    if exe_mode not in ["eager", "ge_graph", "npugraph_ex"]:
        raise ValueError(exe_mode)
    if exe_mode == "eager" and graph_only:
        raise ValueError("not eager")
    if {condition}:
        raise ValueError("not here")
"""


@pytest.mark.parametrize(
    ("condition", "mode", "dialect"),
    [
        ('exe_mode == "npugraph_ex" and enable_superkernel', "ge_graph", "recipes"),
        ('exe_mode == "ge_graph"', "npugraph_ex", "npugraph_ex"),
        ("self.cache", "ge_graph", "recipes"),
        ('exe_mode != "eager" and enable_superkernel', None, None),
    ],
)
def test_what_the_model_itself_refuses_is_not_written(tmp_path: Path, condition: str, mode: Any, dialect: Any) -> None:
    (tmp_path / "models").mkdir()
    (tmp_path / "config").mkdir()
    (tmp_path / "models" / "modeling_tiny.py").write_text(CHECKS.format(condition=condition))
    path = tmp_path / "config" / "config.yaml"
    path.write_text(NESTED)
    assert fitting_dialect(path) == dialect
    refused = [str(item.declined) for item in (review(path), review(path, "npugraph_ex")) if item.declined is not None]
    assert all("one way out is" in reason for reason in refused) == (dialect is not None)
    accepted = {name for name in ("recipes", "npugraph_ex") if review(path, name).declined is None}
    assert accepted == ({"recipes", "npugraph_ex"} if condition == "self.cache" else {dialect} - {None})
    if dialect is not None:
        assert f'exe_mode: "{mode}"' in review(path, dialect).after.decode()
    else:
        assert "modeling_tiny.py, line 11" in str(review(path).declined)


def test_a_model_that_compiles_without_super_kernels_is_told_first(tmp_path: Path) -> None:
    (tmp_path / "config").mkdir()
    (tmp_path / "models").mkdir()
    (tmp_path / "runner.py").write_text('torch.compile(decode, backend="npugraph_ex", options={})\n')
    path = tmp_path / "config" / "config.yaml"
    path.write_text("exe_mode: npugraph_ex\nmodel_config:\n  x: 1\n")
    assert "runner.py compiles for npugraph_ex without super_kernel_optimize" in str(
        review(path, "npugraph_ex").declined
    )


def test_modes_of_the_configurations_beside_it_count_where_it_lists_none(tmp_path: Path) -> None:
    (tmp_path / "config").mkdir()
    (tmp_path / "models").mkdir()
    (tmp_path / "config" / "other.yaml").write_text('model_config:\n  exe_mode: "eager"  # ["eager", "npugraph_ex"]\n')
    path = tmp_path / "config" / "config.yaml"
    path.write_text("model_config:\n  exe_mode: eager\n  custom_params: {}\n")
    assert fitting_dialect(path) == "npugraph_ex"
    assert "know eager, npugraph_ex only" in str(review(path, "recipes").declined)


def test_missing_entries_are_added_in_their_form() -> None:
    nested = "model_config:\n    # first comment\n    name: x\n    custom_params:\n        pa: 1\n"
    assert change(nested).after.decode() == (
        'model_config:\n    exe_mode: "ge_graph"\n    # first comment\n    name: x\n'
        "    custom_params:\n        enable_superkernel: True\n        pa: 1\n"
    )
    flat = "model_config:\r\n  pa: 1\r\n"
    assert change(flat).after.decode() == (
        'exe_mode: "ge_graph"\r\nmodel_config:\r\n  enable_superkernel: True\r\n  pa: 1\r\n'
    )


def test_a_missing_custom_params_block_is_made() -> None:
    text = "model_config:\n  exe_mode: ge_graph\n"
    data = YAML(typ="safe").load(change(text).after.decode())
    assert data == {"model_config": {"custom_params": {"enable_superkernel": True}, "exe_mode": "ge_graph"}}


REFUSED = {
    "no mapping": "- a\n- b\n",
    "other yaml": "services:\n  web: 1\n",
    "broken": "model_config: [1, 2\n",
    "two keys": "exe_mode: a\nexe_mode: b\nmodel_config:\n  x: 1\n",
    "two documents": "model_config:\n  x: 1\n---\nmodel_config:\n  x: 1\n",
    "an alias": "a: &m eager\nexe_mode: *m\nmodel_config:\n  x: 1\n",
    "flow style": "model_config: {x: 1}\n",
    "a block value": "exe_mode: |\n  eager\nmodel_config:\n  x: 1\n",
    "python objects": "model_config: !!python/object/apply:os.system ['true']\n",
    "empty": "",
}


@pytest.mark.parametrize("text", REFUSED.values(), ids=REFUSED.keys())
def test_what_cannot_be_changed_safely_is_declined(text: str) -> None:
    reviewed = review_content(PATH, text.encode())
    assert reviewed.declined is not None
    assert str(reviewed.declined)
    assert reviewed.after == reviewed.before == text.encode()


def test_flow_style_values_are_replaced_in_place() -> None:
    text = "exe_mode: ge_graph\nmodel_config: {enable_superkernel: False, x: 1}  # one line\n"
    assert b"{enable_superkernel: True, x: 1}  # one line" in change(text).after


def test_bytes_that_are_no_text_are_declined() -> None:
    assert review_content(PATH, b"model_config:\n  x: \xff\n").declined is not None


def test_writing_keeps_a_backup(tmp_path: Path) -> None:
    path = tmp_path / "config.yaml"
    path.write_text(NESTED)
    reviewed = review(path)
    backup = write(reviewed)
    assert backup is not None and backup.read_text() == NESTED
    assert path.read_bytes() == reviewed.after
    assert write(review(path)) is None
    with pytest.raises(InputError):
        write(reviewed)
    with pytest.raises(InputError):
        review(tmp_path)


VALUES = st.one_of(st.booleans(), st.integers(0, 9), st.sampled_from(["eager", "ge_graph", "x y", "#no", ""]))


@settings(max_examples=60, deadline=None)
@given(
    st.dictionaries(st.sampled_from(["exe_mode", "world_size", "enable_superkernel"]), VALUES, max_size=3),
    st.dictionaries(
        st.sampled_from(["exe_mode", "enable_superkernel", "enable_cache_compile", "pa"]), VALUES, max_size=4
    ),
    st.one_of(st.none(), st.dictionaries(st.sampled_from(["enable_superkernel", "enable_multi_streams"]), VALUES)),
)
def test_only_the_entries_in_question_change(top: dict[str, Any], model: dict[str, Any], custom: Any) -> None:
    import io

    tree: dict[str, Any] = {**top, "model_config": {**model, "name": "x"}}
    if custom is not None:
        tree["model_config"]["custom_params"] = custom
    stream = io.StringIO()
    YAML().dump(tree, stream)
    reviewed = review_content(PATH, stream.getvalue().encode())
    if reviewed.declined is not None:
        assert reviewed.after == reviewed.before
        return
    after = YAML(typ="safe").load(reviewed.after.decode())
    touched = {"exe_mode", "enable_superkernel", "enable_cache_compile", "enable_static_kernel"}
    for key, value in {**top, **model}.items():
        if key not in touched:
            assert value in (after.get(key), after["model_config"].get(key))
    switches = [after.get("enable_superkernel"), after["model_config"].get("enable_superkernel")]
    switches.append((after["model_config"].get("custom_params") or {}).get("enable_superkernel"))
    assert {value for value in switches if value is not None} == {True}
    assert review_content(PATH, reviewed.after).diff == ""
