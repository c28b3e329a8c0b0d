"""Trees made ready for the events of one kind: what is looked up for all of them together, and what is asked then."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from hunt.sigma import anywhere, regexes, tree
from hunt.sigma.literals import Literals, indexed
from hunt.sigma.tree import And, Const, Leaf, Node, Not, Or, Text


@dataclass(frozen=True, slots=True, eq=False)
class Look:
    """One of some texts stands in a column, so or so: looked up."""

    number: int
    column: str


@dataclass(frozen=True, slots=True, eq=False)
class Ask:
    """Any other test."""

    number: int
    column: str
    test: tree.Test


@dataclass(frozen=True, slots=True, eq=False)
class AskAll:
    """A test of all that an event says. `words`: folded, one of which it must hold; none: that is not known."""

    test: tree.Test
    words: tuple[str, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Every:
    of: tuple[Step, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Some:
    of: tuple[Step, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Never:
    of: Step


@dataclass(frozen=True, slots=True, eq=False)
class Always:
    pass


Step = Look | Ask | AskAll | Every | Some | Never | Always


class Steps:
    """The trees of a pack for one kind of events, by rule."""

    def __init__(self, trees: Mapping[int, Node]) -> None:
        self.literals: dict[str, Literals] = {}  # by column
        self.words: dict[str, None] = {}  # of all tests of all that an event says
        self._looks: dict[tuple[str, str, tuple[str, ...]], Look] = {}
        self._asks: dict[tuple[str, tree.Test], Ask] = {}
        self.of = {rule: self._step(asked) for rule, asked in trees.items() if asked != tree.FALSE}

    def _step(self, asked: Node) -> Step:
        match asked:
            case Leaf():
                return self._leaf(asked)
            case And(of):
                return Every(tuple(map(self._step, of)))
            case Or(of):
                return Some(tuple(map(self._step, of)))
            case Not(of):
                return Never(self._step(of))
            case Const(value):
                return Always() if value else Never(Always())
        raise AssertionError(asked)

    def _leaf(self, leaf: Leaf) -> Step:
        name, test = leaf.field, leaf.test
        if name is None:
            words = anywhere.searchable(_words(test))
            self.words.update(dict.fromkeys(words))
            return AskAll(test, words)
        match test:
            case Text(op, values, cased):
                return self._text(name, op, values, cased=cased)
            case tree.Like() | tree.Regex():
                return self._after(name, _clauses(test), test)
        return self._ask(name, test)

    def _text(self, name: str, op: str, values: tuple[str, ...], *, cased: bool) -> Step:
        """Long texts are looked up, short ones asked for."""
        long = tuple(value for value in values if indexed(regexes.fold(value)))
        parts: list[Step] = []
        if len(long) < len(values):
            parts.append(self._ask(name, Text(op, tuple(value for value in values if value not in long), cased)))
        if long:
            look = self._look(name, op, long)
            parts.append(Every((look, self._ask(name, Text(op, long, cased)))) if cased else look)
        return parts[0] if len(parts) == 1 else Some(tuple(parts))

    def _after(self, name: str, clauses: Iterable[tuple[str, ...]], test: tree.Test) -> Step:
        """Of each clause one text stands in the column, or the dearer test need not be asked."""
        sound = [clause for clause in clauses if clause and all(indexed(regexes.fold(text)) for text in clause)]
        looks = [self._look(name, "contains", clause) for clause in sound]
        return Every((*looks, self._ask(name, test))) if looks else self._ask(name, test)

    def _look(self, name: str, op: str, values: tuple[str, ...]) -> Look:
        texts = tuple(dict.fromkeys(map(regexes.fold, values)))
        known = self._looks.get((name, op, texts))
        if known is None:
            known = self._looks[name, op, texts] = Look(len(self._looks), name)
            own = self.literals.setdefault(name, Literals())
            for text in texts:
                own.add(text, op, known.number)
        return known

    def _ask(self, name: str, test: tree.Test) -> Ask:
        return self._asks.setdefault((name, test), Ask(len(self._asks), name, test))


def _clauses(test: tree.Like | tree.Regex) -> tuple[tuple[str, ...], ...]:
    """Texts that must stand in what meets a test: of each tuple one."""
    if isinstance(test, tree.Regex):
        return regexes.required(test.pattern, test.flags)
    return ((max((part for part in test.pattern if isinstance(part, str)), key=len, default=""),),)


def _words(test: tree.Test) -> Iterator[str]:
    match test:
        case Text(_, values, _):
            yield from map(regexes.fold, values)
        case tree.Like() | tree.Regex():
            for clause in _clauses(test)[:1]:
                yield from map(regexes.fold, clause)
