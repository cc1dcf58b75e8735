"""Numbers that are equal for equal elements of a space, found in one pass over its objects."""

from __future__ import annotations

from nas.space.graph import Block, Choice, Graph, Repeat

ELEMENTS = frozenset({Block, Choice, Graph, Repeat})


class Structures:
    """Gives every structure a number; 1, 1.0 and True are three."""

    def __init__(self) -> None:
        self._kept: list[object] = []  # an object that is gone leaves its id to another
        self._of_object: dict[int, int] = {}
        self._of_structure: dict[tuple[object, ...], int] = {}
        self._signatures: dict[int, str] = {}
        self._by_place: dict[int, bool] = {}

    def number(self, element: object) -> int:
        """The number of what `element` says, however many objects say it."""
        if type(element) not in ELEMENTS:
            return self._numbered((type(element), *self._items(element)))
        found = self._of_object.get(id(element))
        if found is None:
            self._kept.append(element)
            found = self._of_object[id(element)] = self._numbered(self._structure(element))  # type: ignore[arg-type]
        return found

    def decides_by_place(self, element: object) -> bool:
        """Whether an untied repeat is in it: its labels carry the path, so that equal ones elsewhere are others."""
        if type(element) not in ELEMENTS:
            return False
        if (found := self._by_place.get(id(element))) is None:
            self._kept.append(element)
            inside = parts(element)  # type: ignore[arg-type]
            untied = isinstance(element, Repeat) and not element.tied
            found = self._by_place[id(element)] = untied or any(map(self.decides_by_place, inside))
        return found

    def _numbered(self, structure: tuple[object, ...]) -> int:
        return self._of_structure.setdefault(structure, len(self._of_structure))

    def _items(self, element: object) -> tuple[object, ...]:
        return tuple(map(self.number, element)) if isinstance(element, tuple) else (element,)

    def _structure(self, element: Block | Choice | Graph | Repeat) -> tuple[object, ...]:
        numbers = tuple(map(self.number, parts(element)))
        if isinstance(element, Block):
            return (Block, self._signature(element), tuple(name for name, _ in element.params), numbers)
        if isinstance(element, Choice):
            return (Choice, element.label, tuple((type(name), name) for name in element.names), numbers)
        if isinstance(element, Repeat):
            return (Repeat, element.tied, element.name, numbers)
        return (Graph, element.inputs, element.output, tuple(node.name for node in element.nodes), numbers)

    def _signature(self, block: Block) -> str:
        """Written once, since all blocks of a name mostly share it."""
        found = self._signatures.get(id(block.signature))
        if found is None:
            self._kept.append(block.signature)
            found = self._signatures[id(block.signature)] = repr(block.signature)
        return found


def parts(element: Block | Choice | Graph | Repeat) -> tuple[object, ...]:
    """What an element is made of, names aside."""
    if isinstance(element, Block):
        return tuple(value for _, value in element.params)
    if isinstance(element, Choice):
        return element.options
    if isinstance(element, Repeat):
        return (element.body, element.times)
    return tuple(part for node in element.nodes for part in (node.op, node.inputs))


def labels(element: object) -> set[str]:
    """The labels of all choices in an element, as their author wrote them: without the path of an untied repeat."""
    seen: dict[int, object] = {}
    found: set[str] = set()
    todo = [element]
    while todo:
        part = todo.pop()
        if type(part) in ELEMENTS and id(part) not in seen:
            seen[id(part)] = part
            found |= {part.label} if isinstance(part, Choice) else set()
            todo += parts(part)  # type: ignore[arg-type]
    return found
