"""Print the published cases beside their claim and our interval: `python -m skadvisor.gain.published`.

The intervals of the calibrated model are those of a model that never saw the case.
"""

from __future__ import annotations

from dataclasses import dataclass

from skadvisor.fusion.templates import claim_table
from skadvisor.gain.calibrated import leave_one_out, published_answers, published_rows
from skadvisor.gain.outcomes import Case, published_cases


@dataclass(frozen=True)
class Comparison:
    """One published case: measured gain, the claim's range, our interval, and that of the calibrated model, percent."""

    case: Case
    claim: tuple[float, float]
    overhead: tuple[float, float, float]
    calibrated: tuple[float, float, float]

    @property
    def covered(self) -> bool:
        """Whether the overhead model's interval holds what was measured."""
        return self.case.covered(self.overhead[0], self.overhead[2])

    @property
    def nearer(self) -> bool:
        """Whether the middle of our interval is nearer to what was measured than the middle of the claim."""
        measured = self.case.measured_pct
        return abs(self.overhead[1] - measured) < abs(sum(self.claim) / 2 - measured)


def compare_published() -> tuple[Comparison, ...]:
    """Every published case with enough information."""
    low, high = claim_table().saving_of_scope
    left_out = leave_one_out(*published_rows())
    return tuple(
        Comparison(
            case=case,
            claim=(100 * low * case.scope_share, 100 * high * case.scope_share),
            overhead=answer,
            calibrated=(row["low_pct"], row["mid_pct"], row["high_pct"]),
        )
        for case, answer, row in zip(published_cases(), published_answers(), left_out.to_dict("records"), strict=True)
    )


def table(comparisons: tuple[Comparison, ...]) -> str:
    """The comparison as a Markdown table with a summary below."""
    lines = [
        "| case | measured | claim | estimate (P10, P50, P90) | left out (P10, P50, P90) | covered |",
        "|---|---|---|---|---|---|",
    ]
    for one in comparisons:
        measured = f"{one.case.measured_pct:.1f} %" if one.case.bound == "equal" else "<= 0"
        lines.append(
            f"| {one.case.name}, {one.case.template}{' (block)' if one.case.block_only else ''} | {measured} "
            f"| {one.claim[0]:.0f}-{one.claim[1]:.0f} % | {_triple(one.overhead)} | {_triple(one.calibrated)} "
            f"| {'yes' if one.covered else 'no'} |"
        )
    count = len(comparisons)
    covered = sum(one.covered for one in comparisons)
    nearer = sum(one.nearer for one in comparisons)
    left_out = sum(one.case.covered(one.calibrated[0], one.calibrated[2]) for one in comparisons)
    lines += [
        "",
        f"Interval covers the measurement in {covered} of {count} cases; middle nearer than the claim's in {nearer}.",
        f"Calibrated model on cases it never saw: covers {left_out} of {count}, mean error "
        f"{_error([one.calibrated[1] for one in comparisons], comparisons):.1f} points "
        f"(overhead model {_error([one.overhead[1] for one in comparisons], comparisons):.1f}, "
        f"claim {_error([sum(one.claim) / 2 for one in comparisons], comparisons):.1f}).",
    ]
    return "\n".join(lines)


def _triple(values: tuple[float, float, float]) -> str:
    return ", ".join(f"{value:.1f}" for value in values) + " %"


def _error(middles: list[float], comparisons: tuple[Comparison, ...]) -> float:
    pairs = zip(middles, comparisons, strict=True)
    return sum(abs(middle - one.case.measured_pct) for middle, one in pairs) / len(comparisons)


def main() -> None:
    """Print the table."""
    print(table(compare_published()))


if __name__ == "__main__":
    main()
