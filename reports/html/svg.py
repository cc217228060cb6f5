"""A few lines of SVG: elements whose text and attributes are always escaped."""

from __future__ import annotations

from markupsafe import Markup, escape


def element(name: str, *children: str, **attributes: str | float) -> Markup:
    """`<name attributes>children</name>`; `class_` and `text_anchor` become `class` and `text-anchor`."""
    written = Markup().join(Markup(' {}="{}"').format(Markup(key.rstrip("_").replace("_", "-")), _coordinate(value)) for key, value in attributes.items())
    return Markup("<{0}{1}>{2}</{0}>").format(Markup(name), written, Markup().join(escape(c) for c in children))


def picture(width: float, height: float, title: str, description: str, *children: str, class_: str = "") -> Markup:
    """A whole picture with its name and its content in words."""
    view = f"0 0 {width:g} {height:g}"
    named = (element("title", title), element("desc", description))
    return element("svg", *named, *children, viewBox=view, role="img", class_=class_ or "picture", width=width, height=height)


def text(x: float, y: float, content: str, class_: str = "t", anchor: str = "start") -> Markup:
    """A line of text; `anchor` is start, middle or end."""
    return element("text", content, x=x, y=y, class_=class_, text_anchor=anchor)


def line(x1: float, y1: float, x2: float, y2: float, class_: str) -> Markup:
    """A straight line."""
    return element("line", x1=x1, y1=y1, x2=x2, y2=y2, class_=class_)


def box(x: float, y: float, width: float, height: float, class_: str, *children: str) -> Markup:
    """A rectangle; a `title` child is its tooltip."""
    return element("rect", *children, x=x, y=y, width=max(width, 0.0), height=max(height, 0.0), class_=class_)


def circle(x: float, y: float, r: float, class_: str, *children: str) -> Markup:
    """A circle."""
    return element("circle", *children, cx=x, cy=y, r=r, class_=class_)


def diamond(x: float, y: float, r: float, class_: str, *children: str) -> Markup:
    """A square on its corner."""
    path = f"M{x:.1f} {y - r:.1f}L{x + r:.1f} {y:.1f}L{x:.1f} {y + r:.1f}L{x - r:.1f} {y:.1f}Z"
    return element("path", *children, d=path, class_=class_)


def _coordinate(value: str | float) -> str:
    return value if isinstance(value, str) else f"{value:.1f}".removesuffix(".0")
