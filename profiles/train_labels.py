"""Learn `skadvisor/labelling/learning.npz`, the scores of unknown operators, from examples of what kernels work for.

    python profiles/train_labels.py             write the examples, `learning.csv.gz`, and what they teach
    python profiles/train_labels.py --fit       write what the examples teach
    python profiles/train_labels.py --evaluate  leave one family of architectures out at a time and print what the
                                                 learned scores add for it, by class and by time of whole captures

Every architecture of the catalogue is labelled with all its names known. Its operators are then treated as unknown:
with and without shapes, among known and among unknown neighbours, in many and in few layers, under their own names,
others of the same role, and meaningless ones, so that no name is relied on. What each kernel works for stays known.
The same script makes the same bytes.
"""

from __future__ import annotations

import argparse
import gzip
import io
import sys
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any
from unittest import mock

HERE = Path(__file__).resolve().parent
if str(HERE) not in sys.path:
    sys.path.insert(0, str(HERE))

import numpy as np  # noqa: E402
from label_variants import is_decoder, rename_by_vocabulary  # noqa: E402
from sample_builder import perturb  # noqa: E402
from sample_builder.catalogue import CATALOGUE  # noqa: E402
from sample_builder.model import ModelDescription  # noqa: E402
from sample_builder.noise import Noise  # noqa: E402
from unknown_names import TRAINING_NAMES  # noqa: E402

from skadvisor.events import Capture  # noqa: E402
from skadvisor.labelling import learning  # noqa: E402
from skadvisor.labelling.class_table import Classes, classify  # noqa: E402
from skadvisor.labelling.learning import GROUP_OF_STATE  # noqa: E402
from skadvisor.vocabulary.operators import Vocabulary, load_vocabulary  # noqa: E402
from skadvisor.vocabulary.states import REGION_OF_STATE, State  # noqa: E402
from skadvisor.vocabulary.unknown_operators import guess_role  # noqa: E402

if TYPE_CHECKING:
    import pandas as pd
    from sample_builder.build import BuiltCapture

#: A state that fewer of a class's kernels are in is noise.
LEAST_PART = 0.1
#: Models of few layers are taught too: there what runs once per step is not much rarer than what runs in every layer.
FEW_LAYERS = 8
#: How much a name counts against the facts, and how far weights are held back: chosen by leaving families and names
#: out, so that a probability of 0.9 is right that often.
NAME_WEIGHT, REGULARISATION = 3.0, 0.3
EXAMPLES = HERE / "learning.csv.gz"
COLUMNS = ["family", "name", "facts", "group", "weight"]
#: Architectures that are one design under several names are left out together.
_FAMILIES = {
    "deepseek-v3": "deepseek-v3", "deepseek-v3.2": "deepseek-v3", "kimi-k2": "deepseek-v3", "qwen3-30b": "qwen3-moe",
    "qwen3-235b": "qwen3-moe",
}  # fmt: skip
#: Variants on which the learned scores are judged, on top of what they were fitted to.
JUDGED = (
    "renamed", "all_but_norms_renamed", "all_renamed", "all_renamed_telling", "level0", "level0_renamed",
    "level0_telling",
)  # fmt: skip


def family_of(architecture: str) -> str:
    """The design that an architecture of the catalogue is one of."""
    stem = "-".join(architecture.split("-")[:2])
    return _FAMILIES.get(stem, stem)


def make_examples(architectures: Sequence[str] | None = None) -> pd.DataFrame:
    """Examples from the catalogue's decoders: family, name, facts, group, weight; see `read_examples`."""
    import pandas as pd

    rows: list[tuple[str, str, str, str, float]] = []
    for architecture in architectures or [name for name in CATALOGUE if is_decoder(name)]:
        noise = Noise("examples", architecture)
        for name, facts, group, weight in _examples_of(architecture, noise):
            rows.append((family_of(architecture), name, facts, group, weight))
    table = pd.DataFrame(rows, columns=COLUMNS)
    summed = table.groupby(COLUMNS[:-1], sort=True, as_index=False)["weight"].sum()
    summed["weight"] = summed["weight"].clip(upper=2.0).round(2)
    return summed


def _examples_of(architecture: str, noise: Noise) -> Iterator[tuple[str, str, str, float]]:
    """Each treatment with how often a name tells what the kernel does."""
    plain, bare = _build(architecture), _build(architecture, level="level0")
    few, few_bare = _build(architecture, FEW_LAYERS), _build(architecture, FEW_LAYERS, level="level0")
    treatments = [
        (plain, plain, 0.8),
        (plain, rename_by_vocabulary(plain), 0.3),
        (plain, rename_by_vocabulary(perturb.drop_shapes(plain)), 0.7),
        (plain, bare, 0.9),
        (plain, rename_by_vocabulary(bare), 0.8),
        (few, rename_by_vocabulary(few), 0.5),
        (few, rename_by_vocabulary(few_bare), 0.8),
    ]
    vocabulary = load_vocabulary()
    truths = {id(one): _true_states(one, vocabulary) for one in (plain, few)}
    for source, treated, telling in treatments:
        if source.truth["role"].equals(treated.truth["role"]):
            yield from _examples_in(treated.capture, *truths[id(source)], vocabulary, telling, noise)


def _build(architecture: str, layers: int | None = None, **changes: Any) -> BuiltCapture:
    """A capture of the catalogue, with this many layers behind the first dense ones if that is stated."""
    from sample_builder.build import build

    entry = CATALOGUE[architecture]
    description = entry.description
    if layers is not None and isinstance(description, ModelDescription):
        description = replace(description, layers=description.first_dense + layers)
    return build(description, **{**entry.settings, **changes})


def _true_states(built: BuiltCapture, vocabulary: Vocabulary) -> tuple[np.ndarray, np.ndarray]:
    """State and role of every kernel, from names that are all known; -1 where its region differs from the truth.

    A region that one state makes up needs no decoding.
    """
    from skadvisor.labelling.labels import label

    labelled = label(built.capture, vocabulary)
    state = labelled.structure.state.astype(int).copy()
    true = built.truth["region"].astype("object").to_numpy()
    for region in ("prepare", "embedding", "head", "sampling"):
        state[true == region] = State[region.upper()]
    region_of = np.array([REGION_OF_STATE[one] for one in State], dtype=object)
    state[(region_of[state] != true) | (state < 0)] = -1
    classes = labelled.structure.classes
    return state, classes.roles_of(classes.of_kernel)


def _examples_in(
    capture: Capture, states: np.ndarray, roles: np.ndarray, vocabulary: Vocabulary, telling: float, noise: Noise
) -> Iterator[tuple[str, str, str, float]]:
    """Examples from one form of a capture; `telling` is how often a name says what the kernel does."""
    classes = classify(capture.kernels, vocabulary)
    inside = (capture.kernels["kind"] == "kernel").to_numpy()
    chosen = [number for number in range(len(classes.items)) if _teaches(classes, number, inside)]
    described_by_class = learning.examples(classes, capture.kernels, chosen)
    for number, (_name_of_class, described) in zip(chosen, described_by_class, strict=True):
        members = np.flatnonzero((classes.of_kernel == number) & (states >= 0) & inside)
        if not len(members):
            continue
        role = str(roles[members[0]])
        groups = [GROUP_OF_STATE[State(value)] for value in states[members].tolist()]
        name = _name(classes.items[number].base, role, telling, vocabulary, noise)
        for group in sorted(set(groups)):
            part = groups.count(group) / len(groups)
            if part >= LEAST_PART:
                yield learning.name_pieces(name), described, group, part


def _teaches(classes: Classes, number: int, inside: np.ndarray) -> bool:
    """Whether the rules would leave an operator like this open if its name were unknown."""
    item = classes.items[number]
    if item.role in ("collective", "superkernel", "training") or item.fused is not None:
        return False
    return guess_role(item.inputs, item.outputs) == "unknown" and bool(inside[classes.of_kernel == number].any())


def _name(base: str, role: str, telling: float, vocabulary: Vocabulary, noise: Noise) -> str:
    """A name for an operator of this role: one that tells its role in some words, or a meaningless one."""
    if not noise.chance(telling):
        return "k" + "".join("bcdfghjklmnprstvwxz"[noise.pick(19)] for _ in range(5 + noise.pick(6)))
    written = TRAINING_NAMES.get(role, ())
    known = _vocabulary_names(vocabulary).get(role, ())
    choices = [list(written), list(written), list(known)]
    names = choices[noise.pick(3)] or list(written) or list(known) or [base]
    return names[noise.pick(len(names))]


def _vocabulary_names(vocabulary: Vocabulary) -> dict[str, list[str]]:
    names: dict[str, set[str]] = {}
    for tier in vocabulary.tiers:
        for operator in tier.operators:
            names.setdefault(operator.role, set()).update(operator.names)
    return {role: sorted(found) for role, found in names.items()}


def write_examples(table: pd.DataFrame, path: Path = EXAMPLES) -> None:
    """Write the examples; the compressed bytes hold neither time nor file name."""
    text = io.StringIO()
    table.to_csv(text, index=False, lineterminator="\n")
    with path.open("wb") as file, gzip.GzipFile("", "wb", 9, file, mtime=0) as packed:
        packed.write(text.getvalue().encode())


def read_examples(path: Path = EXAMPLES) -> pd.DataFrame:
    """Labelled examples: family (of architectures), name, facts, group, weight."""
    import pandas as pd

    return pd.read_csv(path, dtype={"weight": "float64"}, keep_default_na=False, compression="gzip")


def fit_pipeline(labelled: pd.DataFrame) -> Any:
    """A scikit-learn pipeline fitted to examples (see `read_examples`), over the columns `name` and `facts`."""
    from sklearn.compose import ColumnTransformer
    from sklearn.feature_extraction.text import CountVectorizer, TfidfVectorizer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import Pipeline
    from threadpoolctl import threadpool_limits

    letters = (min(learning.LETTERS), max(learning.LETTERS))
    names = TfidfVectorizer(analyzer="char_wb", ngram_range=letters, min_df=4, max_features=1500, sublinear_tf=True)
    facts = CountVectorizer(token_pattern=r"\S+", lowercase=False, binary=True, min_df=3)
    columns = ColumnTransformer(
        [("name", names, "name"), ("facts", facts, "facts")], transformer_weights={"name": NAME_WEIGHT, "facts": 1.0}
    )
    classifier = LogisticRegression(C=REGULARISATION, max_iter=300, tol=1e-3, random_state=0)
    pipeline = Pipeline([("columns", columns), ("classifier", classifier)])
    weight = labelled["weight"].to_numpy(dtype="float64")
    with threadpool_limits(1):  # threads cost more than they gain on so few examples
        return pipeline.fit(labelled[["name", "facts"]], labelled["group"], classifier__sample_weight=weight)


def fit(labelled: pd.DataFrame) -> learning.Model:
    """What the examples teach; the same ones teach the same."""
    pipeline = fit_pipeline(labelled)
    columns, classifier = pipeline["columns"], pipeline["classifier"]
    names, facts = (columns.named_transformers_[name] for name in ("name", "facts"))
    total = labelled.groupby("group")["weight"].sum().reindex(pipeline.classes_).to_numpy(dtype="float64")
    weights = classifier.coef_.T.copy()
    weights[: len(names.idf_)] *= NAME_WEIGHT
    return learning.Model(
        groups=pipeline.classes_.astype(str),
        log_prior=np.log(total / total.sum()),
        letters=names.get_feature_names_out().astype(str),
        rarity=names.idf_,
        facts=facts.get_feature_names_out().astype(str),
        weights=weights,
        intercept=classifier.intercept_,
    )


def pairs(table: pd.DataFrame) -> list[learning.Example]:
    """The examples of a table as the model takes them."""
    return list(zip(table["name"], table["facts"], strict=True))


def evaluate(table: pd.DataFrame, variants: Sequence[str] = JUDGED) -> None:
    """Print what the learned scores say of each family when fitted to all the others."""
    from score_labels import run

    silent = mock.patch.object(learning, "WEIGHT", 0.0)
    sums: dict[str, list[float]] = {}
    print(f"{'architecture':<31}{'variant':<23}{'without':>9}{'with':>9}  layers  (fraction of the time right)")
    for family in sorted(set(table["family"])):
        held, rest = table[table["family"] == family], table[table["family"] != family]
        model = fit(rest)
        print(f"{family}: {class_figures(model, held)}")
        for architecture in (name for name in CATALOGUE if is_decoder(name) and family_of(name) == family):
            for variant in variants:
                with mock.patch.object(learning, "shipped_model", lambda model=model: model):
                    after = run(architecture, variant)
                    with silent:
                        before = run(architecture, variant)
                sums.setdefault(variant, []).append(after.time_accuracy - before.time_accuracy)
                print(
                    f"{architecture:<31}{variant:<23}{before.time_accuracy:>9.2%}{after.time_accuracy:>9.2%}"
                    f"  {'LSP'[:1] if before.layers_exact else '-'}>{'L' if after.layers_exact else '-'}",
                    flush=True,
                )
    for variant, gains in sums.items():
        print(
            f"{variant:<23} mean {np.mean(gains):+.2%}, best {max(gains):+.2%}, worst {min(gains):+.2%}, "
            f"better in {sum(gain > 0.001 for gain in gains)}, worse in {sum(gain < -0.001 for gain in gains)}"
        )


def class_figures(model: learning.Model, held: pd.DataFrame) -> str:
    """Accuracy of the most probable group, and how often it is right where its probability is high."""
    probability = model.probability(pairs(held))
    weight = held["weight"].to_numpy()
    right = model.groups[probability.argmax(axis=1)] == held["group"].to_numpy()
    top = probability.max(axis=1)
    bands = []
    for low, high in ((0.0, 0.5), (0.5, 0.7), (0.7, 0.9), (0.9, 1.01)):
        inside = (top >= low) & (top < high)
        if inside.any():
            said, was = (
                np.average(top[inside], weights=weight[inside]),
                np.average(right[inside], weights=weight[inside]),
            )
            bands.append(f"{said:.2f} said {was:.2f} right ({inside.sum()})")
    return f"group right {np.average(right, weights=weight):.1%}; " + ", ".join(bands)


def main(arguments: Sequence[str] | None = None) -> None:
    """Write the examples, or judge them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--evaluate", action="store_true", help="leave one family out at a time")
    parser.add_argument("--fit", action="store_true", help="learn from the examples that are there")
    parser.add_argument("--variant", action="append", help="with --evaluate: only these variants, repeatable")
    options = parser.parse_args(arguments)
    if options.evaluate:
        evaluate(read_examples(), options.variant or JUDGED)
        return
    if not options.fit:
        write_examples(make_examples())
    table = read_examples()
    fit(table).write()
    print(
        f"{len(table)} examples of {table['family'].nunique()} families in {EXAMPLES.stat().st_size} bytes, "
        f"learned in {learning.DATA.stat().st_size}"
    )


if __name__ == "__main__":
    main()
