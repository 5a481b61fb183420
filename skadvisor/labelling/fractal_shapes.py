"""Activations in FRACTAL_NZ, as rows and columns again.

The cube cores of older chips read and write matrices in blocks of 16 x 16: (columns/16, rows/16, 16, 16), leading
dimensions in front. Rows are padded to whole blocks; what an operator between both forms reads or writes as plain
rows tells how many there are. Weights are left as they are: their plain form is not needed.
"""

from __future__ import annotations

import pandas as pd

from skadvisor.vocabulary.shapes import Shape, parse_shapes

FORMAT = "FRACTAL_NZ"
_SIDES = ("input", "output")


def plain_shapes(kernels: pd.DataFrame) -> list[pd.Series]:
    """The columns input_shapes and output_shapes, with activations in blocks written as rows and columns."""
    columns = [kernels[f"{side}_shapes"] for side in _SIDES]
    formats = [kernels[f"{side}_formats"] for side in _SIDES]
    if not any(str(text).startswith(FORMAT) for column in formats for text in column.cat.categories):
        return columns
    pairs = pd.DataFrame(
        {name: column.astype("object").fillna("") for name, column in zip("abcd", [*columns, *formats], strict=True)}
    )
    distinct = pairs.drop_duplicates()
    padded = _rows_of_blocks(distinct)
    return [
        pd.Series(_plain(pairs[shapes], pairs[form], padded), index=kernels.index).astype("category")
        for shapes, form in (("a", "c"), ("b", "d"))
    ]


def _plain(shapes: pd.Series, formats: pd.Series, rows: dict[int, int]) -> pd.Series:
    """Each text once: where its first tensor is in blocks, all of its tensors in blocks as plain ones."""
    together = pd.Series(list(zip(shapes, formats, strict=True)), index=shapes.index)
    codes, distinct = pd.factorize(together)
    texts = [_plain_text(text, form.split(";"), rows) or None for text, form in distinct]
    return pd.Series(texts, dtype="object").take(codes).set_axis(shapes.index)


def _plain_text(text: str, formats: list[str], rows: dict[int, int]) -> str:
    if formats[0].strip() != FORMAT:
        return text
    found = []
    for number, shape in enumerate(parse_shapes(text)):
        blocked = number < len(formats) and formats[number].strip() == FORMAT and shape and len(shape) >= 4
        found.append(_unblocked(shape, rows) if blocked and shape else shape)
    return ";".join(",".join(map(str, shape)) if shape else "" for shape in found)


def _unblocked(shape: Shape, rows: dict[int, int]) -> Shape:
    *leading, across, down, height, width = shape
    return (*leading, rows.get(down * height, down * height), across * width)


def _rows_of_blocks(distinct: pd.DataFrame) -> dict[int, int]:
    """How many rows a padded number of rows holds, by the operators that read one form and write the other."""
    found: dict[int, set[int]] = {}
    for shapes_in, shapes_out, formats_in, formats_out in distinct.itertuples(index=False):
        forms = [formats_in.split(";")[0].strip(), formats_out.split(";")[0].strip()]
        if (forms[0] == FORMAT) == (forms[1] == FORMAT):
            continue
        sides = [next(iter(parse_shapes(text)), None) for text in (shapes_in, shapes_out)]
        blocked, plain = sides if forms[0] == FORMAT else sides[::-1]
        if not blocked or not plain or len(blocked) < 4 or len(plain) < 2:
            continue
        padded, width = blocked[-3] * blocked[-2], blocked[-4] * blocked[-1]
        if plain[-1] == width and plain[-2] <= padded:
            found.setdefault(padded, set()).add(plain[-2])
    return {padded: next(iter(rows)) for padded, rows in found.items() if len(rows) == 1}
