"""Pages of HTML: one file each, without scripts and without anything loaded from outside."""

from __future__ import annotations

import functools
import re
from typing import TYPE_CHECKING

from markupsafe import Markup, escape

from mentee.report.blocks import Page

if TYPE_CHECKING:
    from jinja2 import Environment

CODE, EMPHASIS = re.compile(r"`([^`]+)`"), re.compile(r"\*([^*\s][^*]{0,40})\*")


def html(page: Page) -> str:
    """A page as the text of a file; whatever it names is escaped."""
    sections = [section for section in page.sections if section.blocks and section.title]
    intro = [b for section in page.sections if not section.title for b in section.blocks]
    template = environment().get_template("page.html")
    text = template.render(page=page, intro=intro, sections=sections) + "\n"
    return text.encode("utf-8", "replace").decode()  # names of files may be no text


@functools.cache
def environment() -> Environment:
    """The templates, with everything escaped that is not marked as safe."""
    from jinja2 import Environment, PackageLoader

    result = Environment(
        loader=PackageLoader("mentee.report"),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    result.filters |= {"prose": prose, "anchor": anchor, "kind": lambda block: type(block).__name__}
    return result


def prose(text: str) -> Markup:
    """A sentence with its `code` and *emphasis*.

    Example:
        >>> prose("`a<b>` is *not* <i>")
        Markup('<code>a&lt;b&gt;</code> is <em>not</em> &lt;i&gt;')
    """
    marked = CODE.sub(r"<code>\1</code>", str(escape(text)))
    return Markup(EMPHASIS.sub(r"<em>\1</em>", marked))


def anchor(title: str) -> str:
    """What a link to a section names.

    Example:
        >>> anchor("Similarity of layers")
        'similarity-of-layers'
    """
    return re.sub(r"[^a-z0-9]+", "-", title.lower()).strip("-")
