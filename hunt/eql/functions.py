"""EQL's functions, as https://www.elastic.co/docs/reference/query-languages/eql/eql-function-ref describes them.

All but `number` give null for a null argument. Positions count characters.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import polars as pl

from hunt.eql import addresses, patterns
from hunt.eql.literals import invalid, unsupported
from hunt.eql.syntax import IS_NULL, Call, Node
from hunt.eql.values import Type, Types, Value, as_text, value

Make = Callable[[Call, tuple[Value, ...]], Value]


@dataclass(frozen=True, slots=True)
class Function:
    """`takes`: the type of each argument, the last one's again for further ones; None: any."""

    make: Make
    takes: tuple[Type | None, ...]
    least: int
    most: int | None = None  # None: as many as one likes
    insensitive: bool = False  # whether it may have a ~
    gives: Type = "text"


def called(node: Call, types: Types) -> Value:
    """A function of some arguments. Raises RuleError."""
    function = FUNCTIONS.get(node.name)
    if function is None:
        raise unsupported(f"the function {node.name[:40]}", node.place)
    if node.insensitive and not function.insensitive:
        raise invalid(f"{node.name} has no ~", node.place)
    if len(node.args) < function.least or (function.most is not None and len(node.args) > function.most):
        raise invalid(f"{node.name} takes {_count(function)}, not {len(node.args)}", node.place)
    args = tuple(value(arg, types) for arg in node.args)
    for number, arg in enumerate(args):
        wanted = function.takes[min(number, len(function.takes) - 1)]
        given = "text" if arg.type == "ip" else arg.type
        if wanted is not None and given not in (wanted, "null"):
            raise invalid(f"argument {number + 1} of {node.name} must be a {wanted}, and is a {given}", node.place)
    if any(arg.type == "null" for arg in args) and node.name not in ("number", IS_NULL):
        return Value(pl.lit(None), "null")
    return function.make(node, args)


def gives_boolean(node: Node) -> bool:
    return isinstance(node, Call) and node.name in FUNCTIONS and FUNCTIONS[node.name].gives == "boolean"


def _count(function: Function) -> str:
    if function.most is None:
        return f"at least {function.least} arguments"
    return f"{function.least} to {function.most} arguments" if function.most > function.least else (
        f"{function.least} argument{'s' if function.least > 1 else ''}"
    )  # fmt: skip


def lower(text: pl.Expr) -> pl.Expr:
    """For comparing without case: character by character, so that positions stay (İ alone has two in lower case)."""
    return text.str.replace_all("İ", "i", literal=True).str.to_lowercase()


def _texts(node: Call, args: tuple[Value, ...]) -> list[pl.Expr]:
    """The arguments as they are compared."""
    return [lower(arg.expr) if node.insensitive and arg.type in ("text", "ip") else arg.expr for arg in args]


def _constant(node: Call, args: tuple[Value, ...], number: int, kind: type) -> str | int | float | bool | None:
    """The value of an argument that must be known before any event is."""
    given = args[number].constant
    if given is None:
        raise unsupported(f"{node.name} with an argument {number + 1} that is no constant", node.place)
    if given.value is not None and given.kind is not kind:
        raise invalid(f"argument {number + 1} of {node.name} is of the wrong type", node.place)
    return given.value


def _both(args: tuple[Value, ...]) -> tuple[pl.Expr, pl.Expr, bool]:
    """Two numbers, and whether both are whole; 128 bits, so that nothing wraps around."""
    whole = all(arg.whole for arg in args)
    dtype = pl.Int128 if whole else pl.Float64
    return args[0].expr.cast(dtype), args[1].expr.cast(dtype), whole


def _add(_: Call, args: tuple[Value, ...]) -> Value:
    a, b, whole = _both(args)
    return Value(a + b, "number", whole)


def _subtract(_: Call, args: tuple[Value, ...]) -> Value:
    a, b, whole = _both(args)
    return Value(a - b, "number", whole)


def _multiply(_: Call, args: tuple[Value, ...]) -> Value:
    a, b, whole = _both(args)
    return Value(a * b, "number", whole)


def _divide(_: Call, args: tuple[Value, ...]) -> Value:
    """Of whole numbers towards zero; by zero null."""
    a, b, whole = _both(args)
    divisor = pl.when(b != 0).then(b)
    return Value(_towards_zero(a, divisor) if whole else a / divisor, "number", whole)


def _modulo(_: Call, args: tuple[Value, ...]) -> Value:
    """With the sign of the dividend."""
    a, b, whole = _both(args)
    divisor = pl.when(b != 0).then(b)
    quotient = _towards_zero(a, divisor) if whole else (a / divisor).truncate()
    return Value(a - divisor * quotient, "number", whole)


def _towards_zero(a: pl.Expr, b: pl.Expr) -> pl.Expr:
    quotient = a.abs() // b.abs()
    return pl.when((a < 0) != (b < 0)).then(pl.lit(0, pl.Int128) - quotient).otherwise(quotient)


def _between(node: Call, args: tuple[Value, ...]) -> Value:
    left, right = (patterns.escaped(str(_constant(node, args, n, str))) for n in (1, 2))
    greedy = len(args) > 3 and bool(_constant(node, args, 3, bool))
    flags = "(?si)" if node.insensitive else "(?s)"
    pattern = patterns.checked(f"{flags}{left}(.*{'' if greedy else '?'}){right}", node.place)
    source = as_text(args[0])
    found = source.str.extract(pattern)
    return Value(pl.when(source.is_not_null()).then(found.fill_null("")), "text")


def _cidr_match(node: Call, args: tuple[Value, ...]) -> Value:
    networks = [str(_constant(node, args, n, str)) for n in range(1, len(args))]
    inside = addresses.Networks.of(networks, node.place)
    return Value(
        as_text(args[0]).map_batches(lambda s: inside.has(s), return_dtype=pl.Boolean, is_elementwise=True), "boolean"
    )


def _concat(_: Call, args: tuple[Value, ...]) -> Value:
    return Value(pl.concat_str([as_text(arg) for arg in args], ignore_nulls=False), "text")


def _ends_with(node: Call, args: tuple[Value, ...]) -> Value:
    source, end = _texts(node, args)
    return Value(source.str.ends_with(end), "boolean")


def _starts_with(node: Call, args: tuple[Value, ...]) -> Value:
    source, start = _texts(node, args)
    return Value(source.str.starts_with(start), "boolean")


def _string_contains(node: Call, args: tuple[Value, ...]) -> Value:
    """Nothing contains an empty text."""
    source, part = _texts(node, args)
    met = source.str.contains(part, literal=True) & (part != "")
    return Value(pl.when(source.is_not_null()).then(met), "boolean")


def _index_of(node: Call, args: tuple[Value, ...]) -> Value:
    source, part, *rest = _texts(node, args)
    start = pl.max_horizontal(rest[0].cast(pl.Int64), pl.lit(0, pl.Int64)) if rest else pl.lit(0, pl.Int64)
    tail = source.str.slice(start)
    before = tail.str.splitn(part, 2).struct.field("field_0").str.len_chars().cast(pl.Int64)
    found = pl.when(part == "").then(start).when(tail.str.contains(part, literal=True)).then(start + before)
    there = start <= source.str.len_chars().cast(pl.Int64)
    given = rest[0].is_not_null() if rest else pl.lit(value=True)
    return Value(pl.when(there & given).then(found), "number")


def _length(_: Call, args: tuple[Value, ...]) -> Value:
    return Value(as_text(args[0]).str.len_chars().cast(pl.Int64), "number")


def _match(node: Call, args: tuple[Value, ...]) -> Value:
    texts = [str(_constant(node, args, n, str)) for n in range(1, len(args))]
    return _matched(args[0], patterns.of_regexes(texts, node.insensitive, node.place))


def _wildcard(node: Call, args: tuple[Value, ...]) -> Value:
    texts = [str(_constant(node, args, n, str)) for n in range(1, len(args))]
    return _matched(args[0], patterns.of_wildcards(texts, node.insensitive, node.place))


def _matched(source: Value, wanted: patterns.Patterns) -> Value:
    met = as_text(source).map_batches(lambda s: wanted.match(s), return_dtype=pl.Boolean, is_elementwise=True)
    return Value(met, "boolean")


def _number(node: Call, args: tuple[Value, ...]) -> Value:
    """Null where the text is no number, which Elasticsearch calls an error."""
    given = _constant(node, args, 1, int) if len(args) > 1 else None
    if given is not None and not 2 <= int(given) <= 36:
        raise invalid("the base of number must be from 2 to 36", node.place)
    if args[0].type == "null":
        return Value(pl.lit(None), "null")
    text = as_text(args[0]).str.strip_chars()
    digits = text.str.strip_prefix("-").str.strip_prefix("+")
    sign = pl.when(text.str.starts_with("-")).then(-1.0).otherwise(1.0)
    hexadecimal = digits.str.contains(r"^0[xX][0-9A-Fa-f]{1,16}$")
    of_hex = digits.str.slice(2).str.to_integer(base=16, dtype=pl.UInt64, strict=False).cast(pl.Float64)
    if given is None or given == 10:
        decimal = pl.when(digits.str.contains(r"^(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?$")).then(digits)
        plain = decimal.cast(pl.Float64, strict=False)
    else:
        word = pl.when(digits.str.contains(r"^[0-9A-Za-z]{1,64}$")).then(digits)
        plain = word.str.to_integer(base=int(given), dtype=pl.UInt64, strict=False).cast(pl.Float64)
    return Value(sign * pl.when(hexadecimal).then(of_hex).otherwise(plain), "number", whole=False)


def _string(_: Call, args: tuple[Value, ...]) -> Value:
    return Value(as_text(args[0]), "text")


def _substring(_: Call, args: tuple[Value, ...]) -> Value:
    """Positions as Python's slices have them."""
    source = as_text(args[0])
    length = source.str.len_chars().cast(pl.Int64)

    def at(position: pl.Expr) -> pl.Expr:
        whole = position.cast(pl.Int64)
        return pl.when(whole < 0).then(whole + length).otherwise(whole).clip(0, length)

    start = at(args[1].expr)
    end = at(args[2].expr) if len(args) > 2 else length
    cut = source.str.slice(start, pl.max_horizontal(end - start, pl.lit(0, pl.Int64)))
    return Value(pl.when(start.is_not_null() & end.is_not_null()).then(cut), "text")


def _is_null(_: Call, args: tuple[Value, ...]) -> Value:
    return Value(args[0].expr.is_null(), "boolean")


FUNCTIONS: Mapping[str, Function] = {
    "add": Function(_add, ("number",), 2, 2, gives="number"),
    "between": Function(_between, ("text", "text", "text", "boolean"), 3, 4, insensitive=True),
    "cidrmatch": Function(_cidr_match, ("text",), 2, gives="boolean"),
    "concat": Function(_concat, (None,), 1),
    "divide": Function(_divide, ("number",), 2, 2, gives="number"),
    "endswith": Function(_ends_with, ("text",), 2, 2, insensitive=True, gives="boolean"),
    "indexof": Function(_index_of, ("text", "text", "number"), 2, 3, insensitive=True, gives="number"),
    "length": Function(_length, ("text",), 1, 1, gives="number"),
    "match": Function(_match, ("text",), 2, insensitive=True, gives="boolean"),
    "modulo": Function(_modulo, ("number",), 2, 2, gives="number"),
    "multiply": Function(_multiply, ("number",), 2, 2, gives="number"),
    "number": Function(_number, ("text", "number"), 1, 2, gives="number"),
    "startswith": Function(_starts_with, ("text",), 2, 2, insensitive=True, gives="boolean"),
    "string": Function(_string, (None,), 1, 1),
    "stringcontains": Function(_string_contains, ("text",), 2, 2, insensitive=True, gives="boolean"),
    "substring": Function(_substring, ("text", "number", "number"), 2, 3),
    "subtract": Function(_subtract, ("number",), 2, 2, gives="number"),
    "wildcard": Function(_wildcard, ("text",), 2, insensitive=True, gives="boolean"),
    IS_NULL: Function(_is_null, (None,), 1, 1, gives="boolean"),
}
