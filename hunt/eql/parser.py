"""The text of a query -> its nodes; what is wrong with it is said with line and column."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any, cast

from lark import Lark, Token, Transformer, UnexpectedInput, v_args
from lark.exceptions import VisitError

from hunt.eql import literals
from hunt.eql.literals import invalid, unsupported
from hunt.eql.syntax import (
    IS_NULL,
    And,
    Call,
    Compare,
    Event,
    Field,
    Literal,
    Match,
    Node,
    Not,
    Or,
    Pipe,
    Place,
    Query,
    Sample,
    Sequence,
    Step,
    depth,
    either,
)
from hunt.eql.wrong import place as token_place
from hunt.eql.wrong import unexpected
from hunt.rules.model import RuleError

LONGEST = 1 << 20  # characters of a query; Elastic's longest has some 20,000
DEEPEST = 100  # brackets, and other parts, within each other; Elastic's deepest has 9
MOST_RUNS = 100  # as Elasticsearch has it
_ARITHMETIC = {"+": "add", "-": "subtract", "*": "multiply", "/": "divide", "%": "modulo"}


def parse(text: str) -> Query:
    """The query that a text holds. Raises RuleError (invalid or unsupported) with the place of what is wrong."""
    if len(text) > LONGEST:
        raise unsupported(f"a query of more than {LONGEST} characters", Place(1, 1))
    try:
        query = cast(Query, _grammar().parse(text))  # what the transformer makes of the tree
    except UnexpectedInput as error:
        raise unexpected(error, text) from None
    except VisitError as error:  # what the nodes' own checks raised
        if isinstance(error.orig_exc, RuleError):
            raise error.orig_exc from None
        raise
    for step in (*query.steps, *_until(query)):
        for node in (step.event.condition, *step.keys):
            if depth(node) > DEEPEST:
                raise unsupported(f"more than {DEEPEST} parts within each other", step.event.place)
    return query


def _until(query: Query) -> tuple[Step, ...]:
    return (query.body.until,) if isinstance(query.body, Sequence) and query.body.until else ()


@cache
def _grammar() -> Lark:
    text = Path(__file__).with_name("eql.lark").read_text("utf-8")
    # The nodes are built while it is parsed, without recursion. The basic lexer knows keywords wherever they stand.
    return Lark(text, parser="lalr", lexer="basic", transformer=_Nodes(), postlex=_Bounded(), propagate_positions=False)


class _Bounded:
    """Lets tokens through up to a depth of brackets."""

    always_accept = ()

    def process(self, stream: Iterator[Token]) -> Iterator[Token]:
        level = 0
        for token in stream:
            if token.type in ("_OPEN_LIST", "OPEN", "MISSING"):
                level += 1
                if level > DEEPEST:
                    raise unsupported(f"more than {DEEPEST} brackets within each other", token_place(token))
            elif token.type in ("_CLOSE_LIST", "_CLOSE"):
                level -= 1
            yield token


@v_args(inline=True)
class _Nodes(Transformer[Token, Any]):
    """What each rule of the grammar becomes. Lark calls these by name."""

    def start(self, body: Event | Sequence | Sample, *pipes: Pipe) -> Query:
        return Query(body, pipes)

    def event(self, category: tuple[str | None, Place], condition: Node) -> Event:
        return Event(category[0], condition, category[1])

    def category(self, token: Token) -> tuple[str | None, Place]:
        place = token_place(token)
        if token.type == "ANY":
            return None, place
        if token.type in ("STRING", "RAW"):
            return literals.text(token, place), place
        if not str(token).replace("_", "a").isalnum():
            raise invalid(f"{str(token)[:40]!r} is no event category (another name stands in quotes)", place)
        return str(token), place

    def sequence(self, start: Token, *parts: Any) -> Sequence:
        place = token_place(start)
        keys = _keys(parts)
        spans = [part.nanoseconds for part in parts if isinstance(part, _Span)]
        until = next((part.step for part in parts if isinstance(part, _Until)), None)
        steps = tuple(_keyed(part, keys) for part in parts if isinstance(part, Step))
        if not any(not step.missing for step in steps):
            raise invalid("a sequence needs an event that is not missing", place)
        if len(steps) == 1 and steps[0].runs == 1:
            raise invalid("a sequence needs two steps, or one of several runs", place)
        if any(step.missing for step in steps) and not spans:
            raise invalid("missing events need a maxspan", next(step.place for step in steps if step.missing))
        _same_keys((*steps, until and _keyed(until, keys)))
        return Sequence(steps, spans[0] if spans else None, until and _keyed(until, keys), place)

    def span(self, name: Token, count: Token, unit: Token | None = None) -> _Span:
        if name != "maxspan":
            raise invalid(f"a sequence has no setting {str(name)[:40]!r} (have: maxspan)", token_place(name))
        return _Span(literals.nanoseconds(count, unit and str(unit), token_place(count)))

    def until(self, step: Step) -> _Until:
        if step.missing or step.runs > 1:
            raise invalid("until takes one event, without ! and runs", step.place)
        return _Until(step)

    def step(self, opening: Token, event: Event, *tail: Any) -> Step:
        runs = next((part.count for part in tail if isinstance(part, _Runs)), 1)
        return Step(event, _keys(tail), runs, opening.type == "MISSING", token_place(opening))

    def opening(self, token: Token) -> Token:
        return token

    def runs(self, name: Token, count: Token) -> _Runs:
        if name != "runs":
            raise invalid(f"a step has no setting {str(name)[:40]!r} (have: runs)", token_place(name))
        if not count.isdigit() or not 1 <= literals.number(count, token_place(count)) <= MOST_RUNS:
            raise invalid(f"runs must be from 1 to {MOST_RUNS}", token_place(count))
        return _Runs(int(count))

    def by(self, *keys: Node) -> _Keys:
        return _Keys(keys)

    def sample(self, start: Token, *parts: Any) -> Sample:
        place = token_place(start)
        steps = tuple(_keyed(part, _keys(parts)) for part in parts if isinstance(part, Step))
        for step in steps:
            if step.missing or step.runs > 1:
                raise invalid("a sample has no missing events and no runs", step.place)
            if not step.keys:
                raise invalid("a sample needs keys: by", step.place)
        if not 2 <= len(steps) <= 5:
            raise invalid("a sample has two to five steps", place)
        _same_keys(steps)
        return Sample(steps, place)

    def join(self, start: Token, *parts: Any) -> None:
        raise unsupported("join (sample asks for events in any order)", token_place(start))

    def relation(self, name: Token, *rest: Any) -> None:
        raise unsupported(f"{str(name)[:40]} of", token_place(name))

    def pipe(self, name: Token, *args: Node) -> Pipe:
        place = token_place(name)
        if name not in ("head", "tail"):
            raise unsupported(f"the pipe {str(name)[:40]} (have: head, tail)", place)
        count = args[0].value if len(args) == 1 and isinstance(args[0], Literal) else None
        if not isinstance(count, int) or isinstance(count, bool) or count < 1:
            raise invalid(f"{name} takes a number of at least 1", place)
        return Pipe(str(name), count, place)

    def or_(self, *parts: Node) -> Node:
        return either([p for part in parts for p in (part.parts if isinstance(part, Or) else (part,))])

    def and_(self, *parts: Node) -> Node:
        return And(tuple(p for part in parts for p in (part.parts if isinstance(part, And) else (part,))))

    def negation(self, token: Token, part: Node) -> Node:
        return part.part if isinstance(part, Not) else Not(part, token_place(token))

    def compare(self, left: Node, op: Token, right: Node) -> Node:
        place = token_place(op)
        nulls = [isinstance(side, Literal) and side.value is None for side in (left, right)]
        equal: Node = Compare("==" if op == "!=" else str(op), left, right, place)
        if op in ("==", "!=") and any(nulls):
            equal = Call(IS_NULL, (left if nulls[1] else right,), place=place)
        return Not(equal, place) if op == "!=" else equal

    def comparison(self, subject: Node, made: _Matcher) -> Node:
        word = str(made.token)
        kind = "like" if word == ":" else word.removesuffix("~")
        match = Match(kind, subject, made.values, word.endswith(("~", ":")), token_place(made.token))
        return Not(match, match.place) if made.negated else match

    def one(self, token: Token, value: Node) -> _Matcher:
        return _Matcher(token, (value,), negated=False)

    def many(self, token: Token, *values: Node) -> _Matcher:
        return _Matcher(token, values, negated=False)

    def not_one(self, _: Token, token: Token, value: Node) -> _Matcher:
        return _Matcher(token, (value,), negated=True)

    def not_many(self, _: Token, token: Token, *values: Node) -> _Matcher:
        return _Matcher(token, values, negated=True)

    def arithmetic(self, left: Node, op: Token, right: Node) -> Node:
        return Call(_ARITHMETIC[op], (left, right), place=token_place(op))

    def minus(self, op: Token, part: Node) -> Node:
        if isinstance(part, Literal) and isinstance(part.value, int | float) and part.kind in (int, float):
            return Literal(-part.value, token_place(op))
        return Call("subtract", (Literal(0, token_place(op)), part), place=token_place(op))

    def plus(self, _: Token, part: Node) -> Node:
        return part

    def field(self, token: Token) -> Node:
        place = token_place(token)
        if "[" in token and "`" not in token:
            raise unsupported("one element of a field by its number", place)
        return Field(literals.name(token.removeprefix("?")), token.startswith("?"), place)

    def call(self, name: Token, *args: Node | None) -> Node:
        place = token_place(name)
        plain = str(name).removesuffix("~")
        if not plain.replace("_", "a").isalnum():
            raise invalid(f"{plain[:40]!r} is no function", place)
        return Call(plain.lower(), tuple(a for a in args if a is not None), name.endswith("~"), place)

    def literal(self, token: Token) -> Node:
        place = token_place(token)
        match token.type:
            case "NUMBER":
                return Literal(literals.number(token, place), place)
            case "NULL":
                return Literal(None, place)
            case "TRUE" | "FALSE":
                return Literal(token.type == "TRUE", place)
        return Literal(literals.text(token, place), place)


class _Keys:
    def __init__(self, nodes: tuple[Node, ...]) -> None:
        self.nodes = nodes


class _Span:
    def __init__(self, nanoseconds: int) -> None:
        self.nanoseconds = nanoseconds


class _Runs:
    def __init__(self, count: int) -> None:
        self.count = count


class _Until:
    def __init__(self, step: Step) -> None:
        self.step = step


class _Matcher:
    def __init__(self, token: Token, values: tuple[Node, ...], *, negated: bool) -> None:
        self.token, self.values, self.negated = token, values, negated


def _keys(parts: tuple[Any, ...]) -> tuple[Node, ...]:
    found = [part for part in parts if isinstance(part, _Keys)]
    if len(found) > 1:  # the grammar allows by before and after `with`
        raise AssertionError("two lists of keys")
    return found[0].nodes if found else ()


def _keyed(step: Step, shared: tuple[Node, ...]) -> Step:
    return Step(step.event, (*shared, *step.keys), step.runs, step.missing, step.place)


def _same_keys(steps: tuple[Step | None, ...]) -> None:
    there = [step for step in steps if step]
    for step in there[1:]:
        if len(step.keys) != len(there[0].keys):
            raise invalid(f"{len(step.keys)} keys, where the first step has {len(there[0].keys)}", step.place)
