"""The way of the data: one call per stage, from a capture to the advice."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from skadvisor.errors import NotEnoughError
from skadvisor.options import Options, PathText, choose_options
from skadvisor.records import Result, Tool
from skadvisor.text.messages import _
from skadvisor.version import SCHEMA_VERSION, __version__

if TYPE_CHECKING:
    import pandas as pd

    from skadvisor.accounting.timeline import Times
    from skadvisor.events import Capture
    from skadvisor.gain import Assessment
    from skadvisor.labelling.labels import Labelled
    from skadvisor.plan.records import Plan


@dataclass(frozen=True, eq=False)
class Analysis:
    """An analysed capture: the result as records and the tables behind it.

    `kernels` is the labelled kernel table (events.KERNEL_COLUMNS and LABEL_COLUMNS) with what was judged of the scope
    that the report speaks of (accounting.carrying.CARRIED), `steps` the steps table (events.STEP_COLUMNS), `times` what
    was measured (int64 ns).
    """

    result: Result
    capture: Capture
    kernels: pd.DataFrame
    steps: pd.DataFrame
    times: Times
    labelled: Labelled
    options: Options

    @property
    def regions(self) -> pd.DataFrame:
        """One row per phase and region: kernels, busy_us, exposed_us, share, gap_inside_us."""
        return _frame(self.result.regions)

    @property
    def phases(self) -> pd.DataFrame:
        """One row per phase: steps, wall_us, busy_us, gap_us and the gap by kind."""
        return _frame(tuple(self.result.phases.values()))

    @property
    def layers(self) -> pd.DataFrame:
        """One row per kind of layer."""
        return _frame(self.result.layers.kinds)

    @property
    def operators(self) -> pd.DataFrame:
        """One row per operator type of the step that the answer speaks of, the longest total first."""
        frame = _frame(self.result.operators).drop(columns="uses", errors="ignore")
        regions = [", ".join(dict.fromkeys(use.region for use in one.uses)) for one in self.result.operators]
        return frame.assign(region=regions)

    @property
    def roles(self) -> pd.DataFrame:
        """One row per region and role of that step: kernels, total_us (durations summed), the longest total first."""
        import pandas as pd

        uses = [asdict(use) for one in self.result.operators for use in one.uses]
        frame = pd.DataFrame(uses, columns=["region", "role", "kernels", "total_us"])
        summed = frame.groupby(["region", "role"], as_index=False, sort=False)[["kernels", "total_us"]].sum()
        return summed.sort_values("total_us", ascending=False, ignore_index=True)

    @property
    def templates(self) -> pd.DataFrame:
        """One row per template: share, claim, ceiling_us, estimate (P10, P50, P90; us and percent), verdict."""
        frame = _frame(self.result.templates).rename(columns={"name": "template"})
        frame = frame.reindex(columns=_TEMPLATE_COLUMNS)
        return frame.assign(reason=frame["reason"].map(str))

    def explain(self, pattern: str) -> pd.DataFrame:
        """Why kernels whose name or type matches `pattern` (a regular expression) got their label."""
        from skadvisor.labelling.explanation import explain

        return explain(self.labelled, pattern)

    def plan(self, template: str | None = None, dialect: str | None = None, variant: str = "") -> Plan:
        """What to type for a scope: code, configuration, options, risks, proof; by default the recommended one.

        `dialect` is ge, recipes, npugraph_ex or vllm-ascend, by default what fits the capture's graph. Raises
        NotEnoughError where none is recommended or named, InputError for a template or dialect that there is not.
        """
        from skadvisor.plan.planning import choose_dialect, make_plan, named_dialect

        advised = self.result.recommendation
        chosen = template or advised.choice
        if chosen == "none":
            raise NotEnoughError(
                _("no scope is recommended for this capture: {reason}"),
                _("Name a template to see its plan all the same."),
                reason=advised.reason,
            )
        spoken = named_dialect(dialect) if dialect else choose_dialect(self.result)
        return make_plan(self.result, self.kernels, chosen, spoken, variant or advised.variant)

    def write(
        self,
        path: PathText,
        *,
        language: str = "en",
        force: bool = False,
        redact: bool = False,
        redact_op_names: bool = False,
    ) -> Path:
        """Write the report that the suffix of `path` asks for; see `skadvisor.report.SUFFIXES`."""
        from skadvisor import report
        from skadvisor.capture.saved import save

        hide = redact or redact_op_names
        return report.write(
            self.result,
            Path(path),
            language=language,
            kernels=self.kernels,
            steps=self.steps,
            force=force,
            redact=redact,
            redact_op_names=redact_op_names,
            saved=dict if hide else lambda: save(self.capture, self.options),
        )

    def __repr__(self) -> str:
        from skadvisor import report

        return report.verdict(self.result)

    def _repr_html_(self) -> str:
        from skadvisor.report.notebook import result_html

        return result_html(self.result)


def analyze(path: PathText, options: Options | None = None, **chosen: Any) -> Analysis:
    """Analyse one capture, a file or folder of any supported format, or a result that was saved as JSON.

    `options` says what the user knows besides; single options may be given by name: `analyze(path, tpot_ms=20)`.
    Raises InputError and NotEnoughError (skadvisor.errors).
    """
    from skadvisor.capture import load
    from skadvisor.capture.saved import with_saved_options

    options = with_saved_options(Path(path), choose_options(options, chosen))
    return analyze_capture(load(Path(path), rank=options.rank), options)


def analyze_capture(capture: Capture, options: Options | None = None, **chosen: Any) -> Analysis:
    """Analyse a capture that was read already; see `analyze`."""
    from skadvisor.labelling.labels import label
    from skadvisor.vocabulary.operators import load_vocabulary

    options = choose_options(options, chosen)
    return assess(capture, label(capture, load_vocabulary(options.operators)), options)


def assess(capture: Capture, labelled: Labelled, options: Options) -> Analysis:
    """Measure a labelled capture, assess the templates, and choose; NotEnoughError where too little was recorded."""
    from skadvisor import gain
    from skadvisor.accounting import representative
    from skadvisor.accounting.timeline import measure
    from skadvisor.advice import sensitivity, summary
    from skadvisor.advice.advising import advise
    from skadvisor.labelling.visible import require_enough

    require_enough(labelled)
    times = measure(labelled.kernels, labelled.steps, capture.tasks)
    phase = summary.choose_phase(times)
    layers = summary.layers_record(labelled, times, phase)
    situation = summary.gather_situation(capture, labelled, times, phase, layers, options)
    assessed = gain.assess(labelled.kernels, times, situation, options)
    quality = summary.label_quality(labelled, times, phase)
    depends = sensitivity.depends_on_unattributed(
        labelled.kernels, times, situation, assessed.templates, quality.unattributed_share, options
    )
    quality = replace(quality, advice_depends_on_unattributed=depends)
    recommendation = advise(
        assessed,
        situation,
        times,
        quality,
        options.risk,
        lambda facts: gain.assess(labelled.kernels, times, facts, options),
    )
    result = Result(
        schema_version=SCHEMA_VERSION,
        tool=Tool(name="skadvisor", version=__version__),
        captures=(summary.capture_record(capture),),
        mode=labelled.mode,
        graph_kind=labelled.graph_kind,
        host_bound=situation.host_bound,
        phase=phase,
        steps=representative.step_records(times, labelled.steps),
        phases=representative.phase_records(times, labelled.steps),
        layers=layers,
        regions=tuple(record for name in times.representative for record in representative.region_records(times, name)),
        layer_times=representative.layer_times(times, phase),
        typical_layers=(),
        labels=quality,
        templates=assessed.templates,
        recommendation=recommendation,
        warnings=(
            *summary.notices(capture, labelled, quality, phase, summary.region_shares(times, phase)),
            *gain.check_capture(times, situation),
        ),
        superkernels=representative.superkernel_use(labelled.kernels, times, phase),
    )
    result, kernels = _as_judged(result, assessed, labelled, times)
    return Analysis(result, capture, kernels, labelled.steps, times, labelled, options)


def _as_judged(result: Result, assessed: Assessment, labelled: Labelled, times: Times) -> tuple[Result, pd.DataFrame]:
    """Layers, operators and kernels as they were judged for the template in question."""
    from skadvisor.accounting import representative
    from skadvisor.accounting.carrying import carry_judgements
    from skadvisor.accounting.operators import operator_records
    from skadvisor.report.summary import subject_template

    shown = subject_template(result)
    scene = assessed.scenes.get((shown.name, shown.variant)) if shown else None
    judged = scene.preview.table if scene else None
    detailed = replace(
        result,
        typical_layers=representative.typical_layers(labelled.kernels, times, result.phase, judged),
        operators=operator_records(labelled.kernels, times, result.phase, judged, shown.breakers if shown else ()),
    )
    return detailed, carry_judgements(labelled.kernels, judged)


_TEMPLATE_COLUMNS = [
    "template",
    "variant",
    "share",
    "in_scope_us",
    "claim_low_pct",
    "claim_high_pct",
    "ceiling_us",
    "estimate_low_us",
    "estimate_mid_us",
    "estimate_high_us",
    "estimate_low_pct",
    "estimate_mid_pct",
    "estimate_high_pct",
    "chance_above_noise",
    "fragments_per_layer",
    "verdict",
    "reason",
]


def _frame(records: tuple[Any, ...]) -> pd.DataFrame:
    import pandas as pd

    return pd.json_normalize([asdict(record) for record in records], sep="_")
