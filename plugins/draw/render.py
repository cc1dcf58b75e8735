"""From places to a file: the boxes, wires and text of a picture as SVG, PNG or PDF by matplotlib."""

from __future__ import annotations

import colorsys
from collections.abc import Iterable, Iterator
from functools import cache
from hashlib import blake2b
from importlib.util import find_spec
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

from nas.errors import ConfigError

from .layout import LINE, PAD, Placed, Sheet, Wire, arrange
from .picture import Picture, Style

if TYPE_CHECKING:
    from matplotlib.axes import Axes

SUFFIXES = (".svg", ".png", ".pdf")
DPI = 160
EDGE = 24.0
"""Room around the network."""

SIZES: dict[Style, float] = {"name": 5.6, "title": 7.2, "plain": 6.0, "choice": 6.0, "faint": 5.6, "times": 6.4}
BOLD = ("title", "times")
COLOURS: dict[Style, str] = {
    "name": "#6b7280",
    "title": "#111827",
    "plain": "#374151",
    "choice": "#b45309",
    "faint": "#6b7280",
    "times": "#b45309",
}
SALT = (6201).to_bytes(4, "big")
"""Found by trying: with it, the usual blocks have colours far apart."""

WIRE, CHOICE, FRAME = "#4b5563", "#d97706", "#9ca3af"


def write(picture: Picture, file: Path) -> None:
    """Writes the picture; the suffix says what it becomes.

    Raises ConfigError for another suffix, or when matplotlib is not installed.
    """
    if file.suffix.lower() not in SUFFIXES:
        raise ConfigError(f"expected a file ending in {', '.join(SUFFIXES)}, got {file}")
    if find_spec("matplotlib") is None:
        raise ConfigError("matplotlib is not installed; pip install 'graphnas[plots]'")
    import matplotlib as mpl
    from matplotlib.figure import Figure

    sheet = arrange(picture.network, _measure, most=3)
    sheet.wires.pop()  # from the box of the output to nowhere
    heads = [part for part in (picture.title, picture.facts) if part]
    width = max(sheet.size.w, *(_measure(text, "title") * 1.4 for text in heads)) + 2 * EDGE
    notes = list(_packed(picture.notes, width - 2 * EDGE))
    top = EDGE + 2 * LINE * len(heads)
    height = top + sheet.size.h + LINE * len(notes) + (2 if notes else 1) * EDGE
    with mpl.rc_context({"svg.hashsalt": "nas", "font.family": "DejaVu Sans", "path.simplify": False}):
        figure = Figure(figsize=(width / 72, height / 72), dpi=DPI)
        axes = figure.add_axes((0, 0, 1, 1))
        axes.set(xlim=(0, width), ylim=(height, 0))
        axes.axis("off")
        for number, text in enumerate(heads):
            _text(axes, EDGE, EDGE + 1.6 * LINE * number, text, 10.5 if number == 0 else 7.0, "#111827", "left")
        _sheet(axes, sheet, (width - sheet.size.w) / 2, top)
        for number, text in enumerate(notes):
            y = top + sheet.size.h + EDGE + LINE * number
            _text(axes, EDGE, y, text, 6.0, COLOURS["plain"], "left")
        made = {".svg": {"Date": None}, ".pdf": {"CreationDate": None}}
        figure.savefig(file, metadata=made.get(file.suffix.lower(), {}))


def _packed(items: Iterable[str], width: float) -> Iterator[str]:
    """As many items a line as there is room for."""
    line = ""
    for item in items:
        longer = f"{line}    {item}" if line else item
        if line and _measure(longer, "plain") > width:
            yield line
            longer = item
        line = longer
    if line:
        yield line


@cache
def _measure(text: str, style: Style) -> float:
    """The width of a text in points."""
    from matplotlib.font_manager import FontProperties
    from matplotlib.textpath import TextPath

    if not text.strip():
        return 0.0
    font = FontProperties(family="DejaVu Sans", weight="bold" if style in BOLD else "normal")
    return float(TextPath((0, 0), text, size=SIZES[style], prop=font).get_extents().x1)


def _sheet(axes: Axes, sheet: Sheet, dx: float, dy: float) -> None:
    for wire in sheet.wires:
        _wire(axes, wire, dx, dy)
    for placed in sheet.placed:
        _box(axes, placed, dx, dy)


def _box(axes: Axes, placed: Placed, dx: float, dy: float) -> None:
    from matplotlib.patches import Ellipse

    box, x, y, size = placed.box, placed.x + dx, placed.y + dy, placed.size
    if box.look in ("sum", "port"):
        middle = (x + size.w / 2, y + size.h / 2)
        axes.add_patch(Ellipse(middle, size.w, size.h, facecolor="white", edgecolor=WIRE, linewidth=0.8, zorder=3))
        if box.look == "sum":
            _text(axes, *middle, "+", 9, WIRE, "center", middle=True)
        return
    if box.times:
        for shift in (5.0, 2.5):
            _frame(axes, placed, x + shift, y + shift)
    _frame(axes, placed, x, y)
    for number, line in enumerate(box.heading):
        at = (x + PAD if placed.inside else x + size.w / 2, y + PAD + LINE * number)
        align, weight = "left" if placed.inside else "center", "bold" if line.style in BOLD else "normal"
        _text(axes, *at, line.text, SIZES[line.style], COLOURS[line.style], align, weight=weight)
    if placed.inside is not None:
        _entries(axes, placed, x, y)
        _sheet(axes, placed.inside, x, y)


def _entries(axes: Axes, placed: Placed, x: float, y: float) -> None:
    from matplotlib.patches import Ellipse

    sheet = placed.inside
    assert sheet is not None
    assert placed.box.inside is not None
    named = len(sheet.entries) > 1
    for entry, name in zip(sheet.entries, placed.box.inside.inputs, strict=True):
        axes.add_patch(Ellipse((x + entry, y + sheet.top), 4, 4, facecolor=WIRE, edgecolor="none", zorder=4))
        if named:
            _text(axes, x + entry + 4, y + sheet.top - 4, name, 5.2, COLOURS["faint"], "left")


def _frame(axes: Axes, placed: Placed, x: float, y: float) -> None:
    from matplotlib.patches import FancyBboxPatch

    box, size = placed.box, placed.size
    grouped = placed.inside is not None or box.look == "group"
    fill = "#ffffff" if box.look == "choice" else "#f9fafb" if grouped else colour_of(box.kind)
    axes.add_patch(
        FancyBboxPatch(
            (x, y),
            size.w,
            size.h,
            boxstyle="round,pad=0,rounding_size=4",
            facecolor=fill,
            edgecolor=CHOICE if box.look == "choice" else FRAME,
            linewidth=0.9,
            linestyle=(0, (3, 2)) if box.look == "choice" else "solid",
            zorder=2,
        )
    )


def _wire(axes: Axes, wire: Wire, dx: float, dy: float) -> None:
    from matplotlib.patches import FancyArrowPatch
    from matplotlib.path import Path as Curve

    points = [(x + dx, y + dy) for x, y in wire.points]
    vertices, codes = [points[0]], [Curve.MOVETO]
    for (x0, y0), (x1, y1) in pairwise(points):
        if y1 > y0 and x1 != x0:
            middle = (y0 + y1) / 2
            vertices += [(x0, middle), (x1, middle), (x1, y1)]
            codes += [Curve.CURVE4] * 3
        else:
            vertices.append((x1, y1))
            codes.append(Curve.LINETO)
    axes.add_patch(
        FancyArrowPatch(
            path=Curve(vertices, codes),
            arrowstyle="-|>,head_length=3.2,head_width=1.6" if wire.arrow else "-",
            mutation_scale=1,
            color=CHOICE if wire.maybe else WIRE,
            linewidth=0.8,
            linestyle=(0, (3, 2)) if wire.maybe else "solid",
            zorder=2.5,
        )
    )


def _text(
    axes: Axes,
    x: float,
    y: float,
    text: str,
    size: float,
    colour: str,
    align: str,
    *,
    middle: bool = False,
    weight: str = "normal",
) -> None:
    vertical = "center_baseline" if middle else "top"
    text = text.replace("$", r"\$")
    axes.text(x, y, text, fontsize=size, color=colour, ha=align, va=vertical, weight=weight, zorder=5)


def colour_of(kind: str) -> str:
    """The colour of a block's name: one for each name, the same in every picture; white for no name."""
    if not kind:
        return "#ffffff"
    hue = int.from_bytes(blake2b(kind.encode(), digest_size=2, salt=SALT).digest(), "big") / 65536
    return "#" + "".join(f"{round(255 * part):02x}" for part in colorsys.hls_to_rgb(hue, 0.92, 0.75))
