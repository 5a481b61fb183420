"""Both languages say everything: no sentence is untranslated, none loses a value, and the catalogue is current."""

from __future__ import annotations

import ast
import gettext
import re
import string
from importlib import import_module
from pathlib import Path

import pytest
from conftest import REPOSITORY
from example_results import ALL, moe_decode

from skadvisor import report
from skadvisor.errors import InputError
from skadvisor.files.data_files import read_toml
from skadvisor.plan import code, proof
from skadvisor.report.build import describe_result
from skadvisor.report.markdown import render_markdown
from skadvisor.text import languages
from skadvisor.text.messages import Message

PAGES = sorted([*REPOSITORY.glob("README*.md"), *(REPOSITORY / "docs").glob("*.md")])
COMMENT = re.compile(r"(?m)(?:^[ \t]*|  )# (\S.*)$")
PACKAGE = Path(languages.__file__).parents[1]
CATALOGUE = Path(languages.FOLDER) / "zh" / "LC_MESSAGES"
HOW = "extract with pybabel, translate zh/LC_MESSAGES/skadvisor.po, compile it with pybabel"


def marked_sentences() -> dict[str, str]:
    """Every constant inside `_()` in the package and every sentence in its data files, with the file it stands in."""
    found: dict[str, str] = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "_":
                assert isinstance(node.args[0], ast.Constant), f"{path.name}:{node.lineno}: _() takes a constant only"
                found[node.args[0].value] = path.name
    return found | data_sentences() | help_sentences() | comments()


#: Comments that are commands, not sentences.
COMMANDS = re.compile(r"skadvisor |export |bash |active=|llm")


def comments() -> dict[str, str]:
    """What the lines to copy say in their comments: snippets, loops and skeletons."""
    files = [
        file
        for folder in ("recording/snippets", "plan/loops", "plan/skeletons")
        for file in PACKAGE.glob(f"{folder}/*")
    ]
    said = {found: file.name for file in files for found in COMMENT.findall(file.read_text(encoding="utf-8"))}
    said |= dict.fromkeys(COMMENT.findall(code.skeleton("moe-only", "a", shared=False)), "moe.txt")
    tree = ast.parse(Path(code.__file__).read_text(encoding="utf-8"))
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            said |= dict.fromkeys(COMMENT.findall(node.value), "code.py")
    said |= {marks["@WHY@"]: "proof.py" for marks in (proof._GE, proof._NPUGRAPH)}
    return {text: file for text, file in said.items() if not COMMANDS.match(text.strip()) and text != "@WHY@"}


def help_sentences() -> dict[str, str]:
    """What --help says of every command and option."""
    from skadvisor import cli
    from skadvisor.commands.help_text import help_texts

    loaded = {name: getattr(import_module(module), f"{name}_command") for name, (module, _line) in cli.COMMANDS.items()}
    return {text: name for name, command in {**loaded, "": cli.cli}.items() for text in help_texts(command)}


#: What of the data files reaches reports as sentences.
SENTENCES = {
    "fusion/fusibility.toml": ("remedy", "source"),
    "gain/priors.toml": ("source",),
    "fusion/templates.toml": ("where",),
    "plan/guidance.toml": (
        *("suits", "strengths", "weaknesses", "risk", "effort", "next_step"),
        *("meaning", "symptom"),
    ),
}


def data_sentences() -> dict[str, str]:
    """The sentences of rules, priors and templates that ship as data, with the file they stand in."""
    found: dict[str, str] = {}

    def collect(value: object, keys: tuple[str, ...], file: str) -> None:
        if isinstance(value, dict):
            found.update({value[key]: file for key in keys if isinstance(value.get(key), str) and value[key]})
        for item in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
            collect(item, keys, file)

    for file, keys in SENTENCES.items():
        collect(read_toml(PACKAGE / file), keys, file)
    return found


def compiled() -> dict[str, str]:
    """The catalogue that gettext reads at run time."""
    with (CATALOGUE / "skadvisor.mo").open("rb") as file:
        return {key: text for key, text in gettext.GNUTranslations(file)._catalog.items() if key}


def fields_of(template: str) -> set[str]:
    """The values that a template takes."""
    return {name for _text, name, _spec, _conversion in string.Formatter().parse(template) if name is not None}


def test_no_sentence_is_untranslated() -> None:
    assert set(data_sentences().values()) == set(SENTENCES), "every file has sentences"
    known = compiled()
    missing = {sentence: file for sentence, file in marked_sentences().items() if not known.get(sentence)}
    assert not missing, f"{len(missing)} sentences lack Chinese; {HOW}"


def test_the_catalogue_holds_nothing_that_nobody_says() -> None:
    assert not set(compiled()) - set(marked_sentences()), HOW


def test_translations_use_the_same_values_and_formats() -> None:
    for english, chinese in compiled().items():
        assert fields_of(english) == fields_of(chinese), english
        specs = {(name, spec) for _t, name, spec, _c in string.Formatter().parse(english) if name}
        assert specs == {(name, spec) for _t, name, spec, _c in string.Formatter().parse(chinese) if name}, english


def test_compiled_catalogue_is_that_of_the_source() -> None:
    pofile = pytest.importorskip("babel.messages.pofile", reason="babel reads the catalogue's source")
    with (CATALOGUE / "skadvisor.po").open("rb") as file:
        source = {message.id: message.string for message in pofile.read_po(file, locale="zh") if message.id}
    assert source == compiled()


def glossary() -> list[tuple[list[str], str, list[str]]]:
    """The rows of docs/glossary.md: the English words, the Chinese word, and what is not to be written for them."""
    rows = [
        [cell.strip() for cell in line.strip("|").split("|")]
        for line in (REPOSITORY / "docs" / "glossary.md").read_text(encoding="utf-8").splitlines()
        if line.startswith("|")
    ]
    return [(english.split(", "), chinese, wrong.split(", ")) for english, chinese, wrong in rows[2:]]


def test_each_term_has_one_word() -> None:
    known = compiled()
    said = {english: chinese for words, chinese, _wrong in glossary() for english in words}
    assert len(said) > 25
    other = {word: known[word] for word, chinese in said.items() if known.get(word, chinese) != chinese}
    assert not other, "docs/glossary.md has another word"


def test_nobody_writes_another_word_for_a_term() -> None:
    pages = {page.name: page.read_text(encoding="utf-8") for page in PAGES if page.name != "glossary.md"}
    pages["messages"] = "\n".join([*compiled(), *compiled().values()])
    for _words, chinese, wrong in glossary():
        for word in wrong:
            found = re.compile(rf"(?<![\w-]){re.escape(word)}(?![\w-])" if word.isascii() else re.escape(word))
            strays = [(name, word) for name, text in pages.items() if found.search(text)]
            assert not strays, f"write {chinese}"


#: Chinese beside Latin letters, digits or code without a blank, and a blank between Chinese and a sign.
UNSET = re.compile(r"[\u4e00-\u9fff][A-Za-z0-9`]|[A-Za-z0-9%`][\u4e00-\u9fff]|[\u4e00-\u9fff] [\u4e00-\u9fff，。；：]")


def test_chinese_is_set_apart_from_latin_letters() -> None:
    strays = {text for text in compiled().values() if UNSET.search(re.sub(r"\{[^{}]*\}", "¤", text))}
    assert not strays
    message = Message("{name}的{count}个算子在{place}", name="full-model", count=3, place="注意力")
    assert message.render() == "full-model 的 3 个算子在注意力"


@pytest.mark.parametrize("name", ALL)
def test_chinese_reports_are_set_as_one_prints(name: str) -> None:
    text = render_markdown(describe_result(ALL[name](), "zh"))
    lines = [line for line in text.splitlines() if not any(odd in line for odd in ("`", "\\", "&"))]
    assert not [line for line in lines if UNSET.search(line)]


#: Whose sentences a report shows.
REPORT_FILES = (
    "sections.py",
    "gain_sections.py",
    "rank_section.py",
    "summary.py",
    "derivation.py",
    "glossary.py",
    "html.py",
    "eligibility.py",
    "rules.py",
)


@pytest.mark.parametrize("name", ALL)
def test_chinese_reports_hold_no_english_sentence_of_the_report(name: str) -> None:
    ours = {
        sentence
        for sentence, file in marked_sentences().items()
        if file in (*SENTENCES, *REPORT_FILES) and len(sentence) > 12 and "{" not in sentence
    }
    # Only what the catalogue leaves as it is may still be English.
    ours -= {sentence for sentence, chinese in compiled().items() if chinese == sentence}
    text = render_markdown(describe_result(ALL[name](), "zh"))
    assert not [sentence for sentence in ours if sentence in text]


def test_sources_of_terms_are_translated() -> None:
    from small_tables import decode_kernels, labelled_table, step_table

    from skadvisor import gain
    from skadvisor.accounting import timeline
    from skadvisor.accounting.situation import Situation
    from skadvisor.report.wording import Wording

    priors = read_toml(PACKAGE / "gain" / "priors.toml")
    sources = {str(prior["source"]) for prior in priors.values()}
    situation = Situation(mode="graph", phase="decode", decoder_layers=4, layer_kinds={"dense": 4})
    for measured in ({}, {"aic_ns": 1_500, "aiv_ns": 0}):
        labelled = labelled_table(kernel | measured for kernel in decode_kernels())
        steps = step_table(labelled)
        for template in gain.assess(labelled, timeline.measure(labelled, steps), situation).templates:
            sources |= {term.source for term in template.terms.values()}
    assert any(source.startswith("duration minus core time") for source in sources)
    for source in sources:
        assert Wording("en").source(source).replace("µs", "us") == source
        assert re.search(r"[\u4e00-\u9fff]", Wording("zh").source(source)), source
    assert Wording("zh").source("a source of the user's own") == "a source of the user's own"


def test_verdict_is_chinese() -> None:
    assert "decode 单步" in report.verdict(moe_decode(), "zh")
    assert "moe-only" in report.verdict(moe_decode(), "zh"), "the word that commands take stays"


@pytest.mark.parametrize(
    ("variables", "language"),
    [
        ({}, "en"),
        ({"LANG": "zh_CN.UTF-8"}, "zh"),
        ({"LANG": "C.UTF-8"}, "en"),
        ({"LC_ALL": "en_US.UTF-8", "LANG": "zh_CN.UTF-8"}, "en"),
        ({"LANGUAGE": "zh:en", "LANG": "en_US"}, "zh"),
        ({"LANG": "de_DE.UTF-8"}, "en"),
        ({"LC_MESSAGES": "zh-Hans", "LANG": "de_DE"}, "zh"),
    ],
)
def test_language_follows_the_locale(variables: dict[str, str], language: str) -> None:
    assert languages.default_language(variables) == language


def test_unknown_language_says_which_there_are() -> None:
    with pytest.raises(InputError, match="en, zh"):
        languages.translator("xx")


@pytest.mark.parametrize("language", languages.LANGUAGES)
def test_the_empty_sentence_stays_empty(language: str) -> None:
    assert languages.translator(language)("") == ""
