"""The colours of reports and figures: one per region, the same everywhere, apart for colour-blind eyes too.

The five regions inside layers differ most, because they lie side by side in every picture. What colour alone
could confuse is also told by order, a label or a pattern.
"""

from __future__ import annotations

#: Region -> colour, legible beside each other on white and on near-black.
REGION_COLOURS: dict[str, str] = {
    "attention": "#2b6cb8",
    "mlp": "#1f9e89",
    "moe": "#e0751a",
    "norm": "#e6d55a",
    "comm": "#8a2a6b",
    "embedding": "#8fd0c5",
    "head": "#6fb7ea",
    "sampling": "#d884ad",
    "prepare": "#a58467",
    "other": "#8b929c",
    "unattributed": "#3d434c",
}

#: Kind of idle time -> colour; greys, because nothing runs there.
GAP_COLOURS: dict[str, str] = {"inside": "#b9bfc7", "between": "#cfd4da", "wait": "#d9d3c3", "host": "#e3e6ea"}

ACCENT = "#4b45c6"
#: What SuperKernels hold of a step, and what not.
FUSED_COLOURS: dict[str, str] = {"superkernel": ACCENT, "outside": "#8b929c"}
INK = "#1c1f24"


def luminance(colour: str) -> float:
    """Relative luminance of `#rrggbb` by WCAG 2, 0 (black) to 1 (white)."""
    channels = [int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)]
    linear = [value / 12.92 if value <= 0.04045 else ((value + 0.055) / 1.055) ** 2.4 for value in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: str, other: str) -> float:
    """Contrast ratio of two colours by WCAG 2, 1 to 21."""
    light, dark = sorted((luminance(one), luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def text_on(colour: str) -> str:
    """The ink, black or white, that reads better on a colour."""
    return max(("#ffffff", "#000000"), key=lambda ink: contrast(ink, colour))
