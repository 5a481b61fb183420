"""Patch real modeling files and configurations, and run what comes out: `python patch_real_files.py FOLDER ...`.

Each FOLDER holds checked out sources (cann-recipes-infer, transformers). Every template and dialect is tried on every
modeling file, as it is and with its authors' scopes taken out. What is patched then runs under a stand-in (effects.py),
with each configuration of the model; the reason of what is refused is looked into by other means (refusals.py); what is
edited is given to the sources' own loader and checks (recipe_rules.py). Prints a table of counts; ends with 1 where
anything fails. `-v` lists every answer; names of dialects after the folders limit the tries to them.
"""

from __future__ import annotations

import logging
import re
import sys
from collections import Counter
from collections.abc import Callable
from functools import lru_cache, partial
from multiprocessing import Pool
from pathlib import Path
from typing import Any

import libcst as cst
from effects import Judge
from recipe_rules import rejections
from refusals import Refused, objection, objection_to_configuration
from ruamel.yaml import YAML

from skadvisor.plan.patch import DIALECTS, Declined, Request, propose_for, reading
from skadvisor.plan.recipe_config import fitting_dialect, needed_mode, review
from skadvisor.plan.recipe_model import find_model

TRIES = [
    ("attention-only", "a"),
    ("attention-only", "b"),
    ("moe-only", ""),
    ("moe-only", "b"),
    ("full-model", ""),
    ("per-block", ""),
]
PROCESSES = 2
reading.read_source = lru_cache(maxsize=1)(reading.read_source)  # one parse for all tries

#: What was said of one try: (kind, form, dialect, answer), where it was tried, and whether it failed.
Row = tuple[tuple[str, ...], str, bool]


def modeling_files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("model*.py") if re.fullmatch(r"model(ing)?_\w+|modeling", path.stem))


class Unscoped(cst.CSTTransformer):
    """Takes `with superkernel_scope(...)` away and leaves its body."""

    def leave_With(self, original_node: cst.With, updated_node: cst.With) -> Any:
        call = updated_node.items[0].item
        name = call.func.value if isinstance(call, cst.Call) and isinstance(call.func, cst.Name) else ""
        return cst.FlattenSentinel(updated_node.body.body) if name == "superkernel_scope" else updated_node


def try_model(path: Path, dialects: tuple[str, ...]) -> list[Row]:
    text, model = path.read_text(), find_model(path)
    without = cst.parse_module(text).visit(Unscoped()).code
    rows: list[Row] = []
    for form, source in (("as is", text), ("unscoped", without if without != text else "")):
        judge = Judge(source, path) if source else None
        for dialect in dialects if judge else ():
            for template, variant in TRIES:
                request = Request(template=template, variant=variant or "a", dialect=dialect)  # type: ignore[arg-type]
                answer = propose_for(path, source.encode(), request, model)
                if isinstance(answer, Declined):
                    against = objection(Refused(path, source, request, answer, model))
                    said, failed = f"refused: {_words(answer.reason)}", bool(against)
                    said += f" -- NOT TRUE: {against}" if against else ""
                else:
                    said = judge.judge(answer.after.decode())  # type: ignore[union-attr]
                    failed = not said.startswith(("works", "not judged"))
                rows.append((("file", form, dialect, said), f"{path} {template} {variant}", failed))
    return rows


def _words(reason: Any) -> str:
    inner = reason.values.get("reason")
    return (
        reason.template
        if inner is None
        else reason.template.format(
            reason=inner.template, **{name: value for name, value in reason.values.items() if name != "reason"}
        )
    )


def try_configuration(path: Path) -> list[Row]:
    """A configuration in the dialect that fits it: what is changed, and whether its model takes the result."""
    dialect = fitting_dialect(path) or "recipes"
    reviewed = review(path, dialect)
    if reviewed.declined is not None:
        against = objection_to_configuration(path, reviewed.declined, dialect)
        said = f"refused: {_words(reviewed.declined)}" + (f" -- NOT TRUE: {against}" if against else "")
        return [(("configuration", "", dialect, said), str(path), bool(against))]
    before, after = (YAML(typ="safe").load(text.decode()) for text in (reviewed.before, reviewed.after))
    new = rejections(after, path) - rejections(before, path)
    wrong = taken(after, needed_mode(dialect)) or (f"the model says {sorted(new)[0]}" if new else "")
    said = f"REJECTED: {wrong}" if wrong else "changed" if reviewed.diff else "right already"
    return [(("configuration", "", dialect, said), str(path), bool(wrong))]


def taken(data: dict[str, Any], mode: str) -> str:
    """Empty where the file says what was asked for, else what it does not."""
    model = data["model_config"]
    if (model.get("exe_mode") or data.get("exe_mode")) != mode:
        return f"the mode is not {mode}"
    switches = [model.get("enable_superkernel"), (model.get("custom_params") or {}).get("enable_superkernel")]
    return "" if True in switches and False not in switches else "the switch is not on"


def run(task: Callable[[], list[Row]]) -> list[Row]:
    return task()


def main(words: list[str]) -> int:
    logging.disable()
    dialects = tuple(word for word in words if word in DIALECTS) or DIALECTS
    folders = [Path(word) for word in words if word not in DIALECTS and word != "-v"]
    files = [path for folder in folders for path in modeling_files(folder)]
    configs = [
        path
        for folder in folders
        for path in sorted(folder.rglob("*.yaml"))
        if "config" in path.parts or "benchmark" in path.parts
    ]
    largest = sorted(files, key=lambda path: -path.stat().st_size)
    tasks = [partial(try_model, path, dialects) for path in largest] + [partial(try_configuration, p) for p in configs]
    counts: Counter[tuple[str, ...]] = Counter()
    failed = 0
    with Pool(PROCESSES) as pool:
        for rows in pool.imap_unordered(run, tasks):
            for key, where, wrong in rows:
                counts[key] += 1
                failed += wrong
                if wrong or "-v" in words:
                    print(where, *key, sep=" | ", flush=True)
    for key, count in sorted(counts.items()):
        print(f"{count:5d}  {key[0]:13s} {key[1]:8s} {key[2]:11s} {key[3]}")
    print(f"{len(files)} files, {len(configs)} configurations, {sum(counts.values())} answers, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
