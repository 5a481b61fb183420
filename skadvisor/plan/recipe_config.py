"""Checking and changing the YAML configuration of cann-recipes so that a SuperKernel scope takes effect.

Two forms exist: the old flat one (`exe_mode` at the top, switches in `model_config`) and the new nested one
(`model_config.exe_mode`, switches in `model_config.custom_params`); files that mix them occur. The file is read with
ruamel.yaml (safe: no constructors), but changed as text at the positions that the reader gives, so that comments,
order, quotes and everything else stay byte for byte.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from skadvisor.errors import InputError
from skadvisor.plan import yaml_edits
from skadvisor.plan.patch.dialects import Dialect
from skadvisor.plan.patch.files import read_file, replace_file, unified_diff
from skadvisor.plan.recipe_model import GRAPH_MODES, OTHER_MODES, RecipeModel, find_model, listed_modes, switch_mode
from skadvisor.plan.yaml_edits import ABSENT, Edit, get, load
from skadvisor.records import Status
from skadvisor.text.messages import Message, _

LARGEST_BYTES = 1_000_000
_MODE_PLACES = (("model_config", "exe_mode"), ("exe_mode",))


@dataclass(frozen=True, kw_only=True)
class ConfigFinding:
    """One thing that was checked. `key` is the dotted path of the entry."""

    key: str
    status: Status
    message: Message


@dataclass(frozen=True, kw_only=True)
class ConfigReview:
    """What the file says and what must change. `after` equals `before` where nothing must.

    `declined` says why nothing can be changed safely, None where it can.
    """

    path: Path
    findings: tuple[ConfigFinding, ...]
    before: bytes
    after: bytes
    diff: str
    declined: Message | None = None


def needed_mode(dialect: Dialect) -> str:
    """The execution mode under which scopes of a dialect take effect."""
    return "npugraph_ex" if dialect == "npugraph_ex" else "ge_graph"


def fitting_dialect(path: str | Path) -> Dialect | None:
    """The dialect for the mode that a configuration has, or could have; None where it runs eager only.

    Raises InputError where the file cannot be read.
    """
    text = _read(Path(path)).decode("utf-8", errors="replace")
    try:
        data = load(text)
    except ValueError:
        return None
    modes = [get(data, place) for place in _MODE_PLACES if get(data, place) is not ABSENT]
    present = next((mode for mode in modes if mode in GRAPH_MODES), None)
    check = _Check({}, text, "", find_model(Path(path)))
    possible = (mode for mode in GRAPH_MODES if check.hindrance(mode) is None)
    mode = present or next(possible, None)
    return None if mode is None else "recipes" if mode == "ge_graph" else "npugraph_ex"


def review(path: str | Path, dialect: Dialect = "recipes", several_streams: bool = False) -> ConfigReview:
    """Read a configuration and work out the changes; nothing is written.

    `dialect` is how the plan writes its scope, `several_streams` whether the scope spans more than one stream.
    Raises InputError where the file cannot be read.
    """
    path = Path(path)
    return review_content(path, _read(path), dialect, several_streams, find_model(path))


def _read(path: Path) -> bytes:
    unfit = InputError(_("{path} is no configuration file"), _("Name the YAML file: --config config.yaml"), path=path)
    return read_file(path, LARGEST_BYTES, unfit, unfit)


def review_content(
    path: Path,
    content: bytes,
    dialect: Dialect = "recipes",
    several_streams: bool = False,
    model: RecipeModel | None = None,
) -> ConfigReview:
    """As `review`, for content that is at hand, with the `model` that it configures if that is known. Pure."""
    unchanged = ConfigReview(path=path, findings=(), before=content, after=content, diff="")
    try:
        text = content.decode("utf-8")
        data = load(text)
    except (UnicodeDecodeError, ValueError) as error:
        reason = Message(_("it is no YAML that can be read: {error}"), error=_first_line(error))
        return replace(unchanged, declined=reason)
    if not isinstance(data, Mapping) or not isinstance(data.get("model_config"), Mapping):
        reason = Message(_("it has no model_config, so it is no cann-recipes configuration"))
        return replace(unchanged, declined=reason)
    check = _Check(data, text, needed_mode(dialect), model)
    declined = _prefill_only(path, data) or _check_mode(check, dialect)
    if declined is None:
        _check_switch(check)
        _check_cache(check)
        _check_streams(check, several_streams)
        _check_static_kernel(check)
    unchanged = replace(unchanged, findings=tuple(check.findings), declined=declined)
    if declined is not None:
        return unchanged
    try:
        changed = yaml_edits.apply(text, check.edits)
    except ValueError as error:
        unsafe = Message(_("it is written in a way that cannot be changed safely: {error}"), error=error)
        return replace(unchanged, declined=unsafe)
    diff = unified_diff(text, changed, path.name) if changed != text else ""
    return replace(unchanged, after=changed.encode("utf-8"), diff=diff)


@dataclass
class _Check:
    """A configuration under check: its data and text, the mode that the scope needs, and what comes of it."""

    data: Mapping[str, Any]
    text: str
    mode: str
    model: RecipeModel | None
    findings: list[ConfigFinding] = field(default_factory=list)
    edits: list[Edit] = field(default_factory=list)

    def find(self, path: tuple[str, ...], status: Status, template: str, **values: Any) -> None:
        """Note what is said of an entry."""
        self.findings.append(ConfigFinding(key=".".join(path), status=status, message=Message(template, **values)))

    def change(self, path: tuple[str, ...], value: str, template: str, **values: Any) -> None:
        """Note an entry that has to become `value`, and why."""
        self.find(path, "block", template, **values)
        self.edits.append(Edit(path, value))

    def places(self, name: str) -> list[tuple[str, ...]]:
        """Where a switch is set."""
        paths = [("model_config", "custom_params", name), ("model_config", name), (name,)]
        return [path for path in paths if get(self.data, path) is not ABSENT]

    def hindrance(self, mode: str) -> Message | None:
        """Why SuperKernel cannot run in this mode with this file and its model; None where nothing does."""
        listed = listed_modes(self.text)
        if listed is not None and mode not in listed:
            return Message(
                _("its own comment allows {modes} only, and {needed} is needed"),
                modes=", ".join(sorted(listed)),
                needed=mode,
            )
        only = switch_mode(self.text)
        if only is not None and only != mode:
            return Message(_("its own comment on enable_superkernel says: {mode} only"), mode=only)
        return self.model.objection(mode, named=listed is None) if self.model is not None else None


def write(reviewed: ConfigReview) -> Path | None:
    """Apply the changes after a backup; returns the backup's path, None where nothing had to change."""
    if reviewed.after == reviewed.before:
        return None
    return replace_file(reviewed.path, reviewed.after, reviewed.before)


def _first_line(error: Exception) -> str:
    return str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__


def _is_flat(data: Mapping[str, Any]) -> bool:
    model = data["model_config"]
    return "exe_mode" not in model and not isinstance(model.get("custom_params"), Mapping)


def _prefill_only(path: Path, data: Mapping[str, Any]) -> Message | None:
    """Why a run of this configuration has no decode step to speak of, None where it has."""
    tokens = [get(data, (part, "max_new_tokens")) for part in ("scheduler_config", "data_config", "model_config")]
    if 1 in tokens:
        return Message(_("it makes one token per request, so it never decodes, and SuperKernel is for decode"))
    if "prefill" in path.stem.lower() and "decode" not in path.stem.lower():
        return Message(_("it is a prefill configuration by its name, and SuperKernel is for decode"))
    return None


def _check_mode(check: _Check, dialect: Dialect) -> Message | None:
    """Whether the mode is the one that the dialect needs, or can become it; the reason where it cannot."""
    needed = check.mode
    places = [path for path in _MODE_PLACES if get(check.data, path) is not ABSENT]
    other = next((mode for path in places if (mode := get(check.data, path)) in GRAPH_MODES and mode != needed), None)
    if other is not None:
        check.find(places[0], "block", "{reason}", reason=_wrong_graph(check, str(other)))
        return Message(_("scopes of the {dialect} dialect have no effect under {mode}"), dialect=dialect, mode=other)
    hindrance = check.hindrance(needed)
    if hindrance is not None:
        return _other_way(check, hindrance)
    if not places:
        target = ("exe_mode",) if _is_flat(check.data) else ("model_config", "exe_mode")
        check.change(target, f'"{needed}"', _("no exe_mode is set; {mode} is needed"), mode=needed)
    for path in places:
        mode = get(check.data, path)
        if mode == needed:
            check.find(path, "pass", _("{mode} is a graph mode"), mode=mode)
        else:
            known = _("{mode} runs without a graph for SuperKernel; {needed} is needed")
            unknown = _("the mode {mode} is not known; {needed} is needed")
            check.change(path, needed, known if mode in OTHER_MODES else unknown, mode=mode, needed=needed)
    return None


def _other_way(check: _Check, hindrance: Message) -> Message:
    """Why the mode cannot be, with the other graph mode where that can."""
    mode, dialect = ("ge_graph", "recipes") if check.mode == "npugraph_ex" else ("npugraph_ex", "npugraph_ex")
    if check.hindrance(mode) is not None:
        return hindrance
    way = _("{reason}; one way out is exe_mode: {mode} with --dialect {dialect}")
    return Message(way, reason=hindrance, mode=mode, dialect=dialect)


def _wrong_graph(check: _Check, mode: str) -> Message:
    """Both ways out of a dialect that the configured graph does not know, or why one is closed."""
    captured = mode == "npugraph_ex"
    what = (
        _("npugraph_ex passes GE scopes over: the switch would hand over the whole graph")
        if captured
        else _("a GE graph does not know scopes of npugraph_ex")
    )
    ways = {"--dialect npugraph_ex" if captured else "--dialect recipes": mode, f"exe_mode: {check.mode}": check.mode}
    first, second = (
        Message(_("one way out is {way}"), way=way)
        if (reason := check.hindrance(wanted)) is None
        else Message(_("not {way}: {reason}"), way=way, reason=reason)
        for way, wanted in ways.items()
    )
    return Message("{what}; {first}; {second}", what=Message(what), first=first, second=second)


def _check_switch(check: _Check) -> None:
    places = check.places("enable_superkernel")
    if not places:
        inner = () if _is_flat(check.data) else ("custom_params",)
        check.change(("model_config", *inner, "enable_superkernel"), "True", _("enable_superkernel is not set"))
    for path in places:
        if get(check.data, path) is True:
            check.find(path, "pass", _("SuperKernel is on"))
        else:
            check.change(path, "True", _("SuperKernel is off"))


def _check_cache(check: _Check) -> None:
    stale = _("a graph compiled before the scope was there may come from the cache: off until the scope is proved")
    for path in check.places("enable_cache_compile"):
        if get(check.data, path) is True:
            check.change(path, "False", stale)
        else:
            check.find(path, "pass", _("every run compiles anew"))


def _check_streams(check: _Check, several_streams: bool) -> None:
    """Streams are the user's choice: what does not fit the plan is said, not changed."""
    in_scope = _(
        "several streams are on, but the capture shows one in this scope: if the log speaks of streams, "
        "set stream-fusion=1"
    )
    captured = _("several streams are on, but the capture shows one in this scope: measure with one setting")
    off = _("the capture ran on several streams, this file switches them off: measure with one setting")
    for path in check.places("enable_multi_streams"):
        on = bool(get(check.data, path))
        if on == several_streams:
            check.find(path, "pass", _("streams are as in the capture"))
        else:
            check.find(path, "warn", off if not on else in_scope if check.mode == "ge_graph" else captured)


def _check_static_kernel(check: _Check) -> None:
    """npugraph_ex fuses static kernels only; with another mode cann-recipes refuses the switch."""
    needed = check.mode == "npugraph_ex"
    reason = _("npugraph_ex fuses static kernels only") if needed else _("it is for npugraph_ex only")
    places = check.places("enable_static_kernel")
    if not places and needed:
        check.change(("model_config", "enable_static_kernel"), "True", reason)
    for path in places:
        if bool(get(check.data, path)) is needed:
            check.find(path, "pass", _("static kernels are on") if needed else _("static kernels are off"))
        else:
            check.change(path, str(needed), reason)
