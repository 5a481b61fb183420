"""The language of kernel sequences: models, blocks of kernels and captures, written down in `*.kernels` files.

At the margin of a file stand

    card NAME [as OTHER]: hidden=4096 heads=32 ...        a model card, or another one with some figures changed
    times NAME [as OTHER]: MatMulV2=9.2 ...               a number for each operator
    block NAME[(parameters)] [in REGION]: what it is      kernels, in the indented lines below
    capture NAME = CARD, steps=3, ...                     a capture, recorded by the indented lines below
    capture NAME = EXPRESSION                             a capture
    counted NAME, 61 layers [as TIMES]: MatMulV2=59 ...   what was counted in a step of a published capture
    NAME = EXPRESSION                                     anything else

and in the lines of a block, where the words of a card (`rows`, `wide`, `hidden` ...) mean those of the card at hand,

    SwiGlu rows,2*inter -> rows,inter 2.8us AIC @mlp      a kernel: shapes in, shapes out, duration, cores, region
    triton _triton_rope query key -> query key            a kernel whose name is in small letters
    {op} wide                                             a kernel whose name is computed
    each Swish Mul rows,inter 2us                         element-wise kernels over one shape
    linear hidden 2*inter                                 another block with what it takes
    mlp but rows=2*rows, bias=True                        another block with figures changed
    mlp on half                                           another block with another card
    beside 9:                                             the lines below on another stream
    in head:                                              the lines below for another region
    2x Cast wide                                          a line twice

beside `if`, `for`, `return` and assignments of Python. In a kernel `-` is a tensor that is not given, `9*-` are nine,
`*LIST` those of a list. Lists of figures and open brackets go on in the next line.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from sample_builder.recorder import Recorder

CORES = {"AIC": "MIX_AIC", "AIV": "MIX_AIV", "AICORE": "AI_CORE", "AICPU": "AI_CPU"}
_BLOCK = re.compile(r"block (\w+)(?:\((.*?)\))?(?: in (\w+))?: .*")
_FIGURES = re.compile(r"(card|times) (\w+)(?: as (\w+))?: (.*)")
_COUNTED = re.compile(r"counted (.+), (\d+) layers(?: as (\w+))?: (.*)")
_CAPTURE = re.compile(r"capture (.+?) = (.*)")
_PYTHON = re.compile(r"return\b|[\w.]+(\[\w+\])?(, [\w.()\[\]]+|, \([\w., ]+\))* [-+*]?= ")
_OPENING = re.compile(r"((?:if|elif|for|with|beside) .+?|else):(?: (.*))?")
_TIMES = re.compile(r"(\d+)x (.*)")


class Block:
    """Kernels of a card: `block(recorder, card)` records them, `block(...)` is the block with what it takes."""

    def __init__(self, write: Callable[..., None], *given: Any, **named: Any) -> None:
        self.write, self.given, self.named = write, given, named

    def __call__(self, *given: Any, **named: Any) -> Block:
        if not given or not isinstance(given[0], Recorder):
            return Block(self.write, *self.given, *given, **{**self.named, **named})
        recorder, card, *rest = given
        self.write(recorder, card, *self.given, *rest, **{**self.named, **named})
        return self

    def within(self, region: str | None) -> Block:
        """The block for this region, where it takes one and got none."""
        code, defaults = self.write.__code__, self.write.__defaults__ or ()
        wanting = code.co_varnames[2:3] == ("region",) and code.co_argcount - len(defaults) > 2
        return self(region) if region and wanting and not self.given else self


def read(path: Path, words: dict[str, Any]) -> dict[str, Any]:
    """Add what a file defines to `words`, which hold `Card`, `recorded`, and the `captures` and `counted` before it.

    Raises SyntaxError for lines that are none of the language and for what is defined twice.
    """
    figures = {name for name in dir(words["Card"]) if not name.startswith("_")} | {*words["Card"].__annotations__}
    module = ast.Module([], [])
    for first, lines in _parts(path.read_text(encoding="utf-8")):
        try:
            module.body += _defined(lines, first, figures)
        except (SyntaxError, ValueError) as wrong:
            raise SyntaxError(f"{path.name}:{first}: {wrong}") from wrong
    names = [node.name for node in module.body if isinstance(node, ast.FunctionDef) and node.name != "_"]
    names += [node.targets[0].id for node in module.body if isinstance(node, ast.Assign)]  # type: ignore[attr-defined]
    twice = {name for name in names if name in words or name in figures or names.count(name) > 1}
    if twice:
        raise SyntaxError(f"{path.name}: defined twice: {', '.join(sorted(twice))}")
    words |= {"Block": Block, "_shape": _shape, "_add": _add, "_within": _within}
    exec(compile(ast.fix_missing_locations(module), str(path), "exec"), words)
    return words


def _shape(stated: Any) -> Any:
    return (stated,) if isinstance(stated, int) else stated


def _within(stated: Any, region: str | None) -> Block:
    """A block of the language or a function of Python, for this region."""
    return (stated if isinstance(stated, Block) else Block(stated)).within(region)


def _add(table: dict[str, Any], name: str) -> Callable[[Any], Any]:
    """A decorator that files what it decorates under this name, once."""

    def file(made: Any) -> Any:
        if name in table:
            raise SyntaxError(f"two of one name: {name}")
        table[name] = made
        return made

    return file


def _parts(text: str) -> Iterator[tuple[int, list[str]]]:
    """What stands at the margin with the indented lines below it, and the number of the first line."""
    part: list[str] = []
    first = 0
    for number, line in enumerate(text.splitlines(), start=1):
        if line[:1].strip() and line[0] not in "#)]}":
            if part:
                yield first, part
            part, first = [], number
        if first and line[:1] != "#":
            part.append(line)
    if part:
        yield first, part


def _defined(lines: list[str], first: int, figures: set[str]) -> list[ast.stmt]:
    """The Python statement of one part of a file."""
    head, body = lines[0], lines[1:]
    below = any(line.strip() for line in body)
    whole = " ".join(line.strip() for line in lines)
    if found := _BLOCK.fullmatch(head):
        name, parameters, region = found.groups()
        return [_function(name, parameters or "", repr(region), body, first, figures, "Block")]
    if found := _FIGURES.fullmatch(whole):
        kind, name, base, stated = found.groups()
        pairs = _pairs(stated)
        made = f"{base}.but({pairs})" if base else f"Card({pairs})"
        text = f"{name} = {made if kind == 'card' else f'dict({base}, {pairs})' if base else f'dict({pairs})'}"
    elif found := _COUNTED.fullmatch(whole):
        name, layers, base, stated = found.groups()
        return ast.parse(f"_add(counted, {name!r})(({layers}, dict({base or '()'}, {_pairs(stated)})))").body
    elif (found := _CAPTURE.fullmatch(head)) and below and not _open(head):
        name, made = found.groups()
        decorator = f"lambda body: _add(captures, {name!r})(lambda: recorded({made}, body=body))"
        return [_function("_", "", "None", body, first, figures, "Block", decorator)]
    elif found := _CAPTURE.fullmatch(whole):
        text = f"_add(captures, {found.group(1)!r})(lambda: {found.group(2)})"
    else:
        text = whole
    return ast.increment_lineno(ast.parse(text), first - 1).body


def _pairs(stated: str) -> str:
    """`a=1 b=word` as keyword arguments: what is no number and no truth is text."""
    pairs = [pair.split("=", 1) for pair in stated.split()]
    plain = re.compile(r"[\d.]+|True|False")
    return ", ".join(f"{name}={value if plain.fullmatch(value) else repr(value)}" for name, value in pairs)


def _function(
    name: str, parameters: str, region: str, body: list[str], first: int, figures: set[str], *decorators: str
) -> ast.FunctionDef:
    here = "region" if parameters.startswith("region") else region
    text = f"def {name}({', '.join(filter(None, ['r', 'c', parameters]))}):\n" + "\n".join(_python(body, here))
    function: ast.FunctionDef = ast.increment_lineno(ast.parse(text), first - 1).body[0]  # type: ignore[assignment]
    _Figures(function, figures).generic_visit(function)
    function.decorator_list = [ast.parse(one, mode="eval").body for one in reversed(decorators)]
    return function


class _Figures(ast.NodeTransformer):
    """Words of a card become those of the card at hand, except where a parameter has the same name."""

    def __init__(self, function: ast.FunctionDef, figures: set[str]) -> None:
        stated = function.args
        own = {one.arg for one in (*stated.args, *stated.kwonlyargs, *([stated.vararg] if stated.vararg else []))}
        self.figures = figures - own

    def visit_arguments(self, node: ast.arguments) -> ast.arguments:
        """Defaults are no words of a card."""
        return node

    def visit_Name(self, node: ast.Name) -> ast.AST:
        """A word of the card."""
        if node.id not in self.figures:
            return node
        if not isinstance(node.ctx, ast.Load):
            raise ValueError(f"{node.id} is a word of the card")
        return ast.copy_location(ast.Attribute(ast.Name("c", ast.Load()), node.id, ast.Load()), node)


def _open(line: str) -> bool:
    bare = re.sub(r'"[^"]*"', "", line)
    return sum(map(bare.count, "([{")) > sum(map(bare.count, ")]}"))


def _python(lines: Sequence[str], here: str) -> Iterator[str]:
    """A line of Python for each line; those that only end the one before are empty."""
    joined, waiting = "", 0
    regions = [(0, here)]
    for line in lines:
        joined += line.rstrip() if not joined else " " + line.strip()
        if _open(joined):
            waiting += 1
            continue
        text = joined.strip()
        indent = len(joined) - len(joined.lstrip())
        while text and indent <= regions[-1][0]:
            regions.pop()
        if found := re.fullmatch(r"in (\w+):", text):
            regions.append((indent, repr(found.group(1))))
            text = "if True:"
        yield " " * indent + _statement(text, regions[-1][1]) if text and text[0] != "#" else ""
        yield from [""] * waiting
        joined, waiting = "", 0


def _statement(text: str, here: str) -> str:
    if found := _OPENING.fullmatch(text):
        opening = re.sub("^beside (.+)", r"with r.beside(\1)", found.group(1))
        return f"{opening}: {_statement(found.group(2), here) if found.group(2) else ''}"
    if found := _TIMES.fullmatch(text):
        return f"for _ in range({found.group(1)}): {_statement(found.group(2), here)}"
    if _PYTHON.match(text):
        return text
    first, *tokens = _tokens(text)
    if first == "each":
        return _each(tokens, here)
    if first == "triton":
        return _kernel(repr(tokens[0]), tokens[1:], here)
    if first[0] == "{":
        return _kernel(first[1:-1], tokens, here)
    if first[0].isupper() or first.startswith("hcom_"):
        return _kernel(repr(first), tokens, "'comm'" if first.startswith("hcom_") else here)
    card = "c"
    if regions := [token for token in tokens if token[0] == "@"]:
        here, tokens = repr(regions[0][1:]), [token for token in tokens if token not in regions]
    if "but" in tokens:
        place = tokens.index("but")
        card, tokens = f"c.but({' '.join(tokens[place + 1 :])})", tokens[:place]
    elif "on" in tokens[-2:-1]:
        card, tokens = tokens[-1], tokens[:-2]
    taken = f"({', '.join(tokens)})" if tokens else ""
    return f"_within({first}, {here}){taken}(r, {card})"


def _tokens(text: str) -> list[str]:
    """What blanks part outside brackets and quotes."""
    found, depth, quoted = [""], 0, False
    for letter in text:
        quoted ^= letter == '"'
        depth += 0 if quoted else (letter in "([{") - (letter in ")]}")
        if letter == " " and not depth and not quoted:
            found.append("")
        else:
            found[-1] += letter
    return [token for token in found if token]


def _options(tokens: list[str], here: str) -> tuple[list[str], dict[str, str]]:
    """Shapes, and what else is told of a kernel."""
    told, shapes = {"region": here}, []
    for token in tokens:
        if re.fullmatch(r"[\d.]+us", token):
            told["us"] = token[:-2]
        elif token in CORES:
            told["core"] = repr(CORES[token])
        elif token[0] == "@":
            told["region"] = repr(token[1:])
        elif found := re.fullmatch(r"(us|core|name)=(.+)", token):
            told[found.group(1)] = found.group(2)
        else:
            shapes.append(token)
    if told["region"] == "None":
        raise ValueError("a kernel of no region")
    return shapes, told


def _kernel(op: str, tokens: list[str], here: str) -> str:
    shapes, told = _options(tokens, here)
    if "->" in shapes:
        place = shapes.index("->")
        told["outs"] = f"[{', '.join(map(_tensor, shapes[place + 1 :]))}]"
        shapes = shapes[:place]
    told["ins"] = f"[{', '.join(map(_tensor, shapes))}]"
    return f"r.put({op}, {', '.join(f'{name}={value}' for name, value in told.items())})"


def _each(tokens: list[str], here: str) -> str:
    (*ops, shape), told = _options(tokens, here)
    named = ops[0][1:-1] if ops[0][0] == "{" else repr(" ".join(ops))
    return f"r.each({named}, {told['region']}, {_tensor(shape)}, {told.get('us', '3.0')})"


def _tensor(token: str) -> str:
    if found := re.fullmatch(r"(?:(\d+)\*)?-", token):
        return f"*[None] * {found.group(1) or 1}"
    if token[0] == "*":
        return token
    commas = len(_tokens(token.replace(",", " "))) if "," in token else 1
    return f"({token})" if commas > 1 else f"_shape({token})"
