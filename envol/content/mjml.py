"""MJML to HTML. Our validator speaks first, because the engine drops what it does not know without a word."""

from __future__ import annotations

import re
from secrets import token_hex

import css_inline
from django.utils.translation import gettext
from mjml import mjml2html

from envol.content import mjml_schema as schema
from envol.content.language import Tag, scan
from envol.content.markup import BLANK, VOID, Lines, Token, Unclosed, blank, tokens
from envol.content.problems import Problem, TemplateProblem, nearest

_TABLE = frozenset(["table", "thead", "tbody", "tfoot", "tr", "mj-table"])


class _Walk:
    """One pass over the tokens that knows which components are open around each of them."""

    def __init__(self, source: str, tags: list[Tag]) -> None:
        self.source, self.tags = source, tags
        self.masked, self.lines = blank(source, tags), Lines(source)
        self.problems: list[Problem] = []
        self.open: list[Token] = []
        self.masks: list[tuple[Tag, str]] = []  # each tag and how it must be masked: word, comment, raw, or none
        self._next_tag = 0
        self._blocks: list[tuple[str, Tag, Token | None]] = []

    def say(self, offset: int, message: str, suggestion: str = "") -> None:
        self.problems.append(Problem(self.lines.at(offset), message, suggestion))

    def run(self) -> None:
        try:
            for token in tokens(self.masked):
                self._place_tags(token)
                if token.kind == "open":
                    self._opened(token)
                elif token.kind == "close":
                    self._closed(token)
                elif token.kind == "text":
                    self._text(token)
        except Unclosed as error:
            self.say(error.offset, str(error))
            return
        for token in self.open:
            if token.name.startswith("mj"):
                self._never_closed(token)
        if not self.problems and not re.search(r"<mjml[\s>]", self.masked):
            self.say(0, gettext("MJML begins with <mjml> and ends with </mjml>."))
        if not self.problems and not re.search(r"<mj-body[\s>]", self.masked):
            self.say(0, gettext("There is no <mj-body>: the message would be empty."))

    def _opened(self, token: Token) -> None:
        parent = self.open[-1].name if self.open else ""
        component = next((one.name for one in reversed(self.open) if one.name.startswith("mj")), "")
        if token.name.startswith("mj"):
            self._check_component(token, parent)
        elif component not in schema.HTML_INSIDE | schema.TEXT_INSIDE:
            said = gettext("%(tag)s may not stand directly in %(holder)s: put it into mj-text or mj-raw.")
            self.say(token.start, said % {"tag": f"<{token.name}>", "holder": _holder(component)})
        for attribute in token.attributes:
            if not attribute.quoted and attribute.value:
                self.say(token.start, gettext("Put quotes around the value of %(name)s.") % {"name": attribute.name})
        if not token.closed and token.name not in VOID:
            self.open.append(token)

    def _check_component(self, token: Token, parent: str) -> None:
        name = token.name
        if name in schema.REFUSED:
            return self.say(token.start, gettext(schema.REFUSED[name]))
        unknown = gettext("There is no component %(name)s.") % {"name": name}
        if parent == "mj-attributes":
            if name not in schema.PARENTS and name not in ("mj-all", "mj-class"):
                self.say(token.start, unknown, nearest(name, schema.PARENTS))
            return None
        if name not in schema.PARENTS:
            return self.say(token.start, unknown, nearest(name, schema.PARENTS))
        if name != "mjml" and parent not in schema.PARENTS[name]:
            places = gettext(" or ").join(sorted(schema.PARENTS[name]))
            said = gettext("%(tag)s may not stand in %(holder)s: it belongs in %(places)s.")
            self.say(token.start, said % {"tag": f"<{name}>", "holder": _holder(parent), "places": places})
        for attribute in token.attributes:
            if attribute.name not in schema.ATTRIBUTES[name] and BLANK not in attribute.name:
                meant = nearest(attribute.name, schema.ATTRIBUTES[name])
                said = gettext("%(tag)s has no attribute %(name)s.")
                self.say(token.start, said % {"tag": f"<{name}>", "name": attribute.name}, meant)
        if name == "mj-social-element" and token.get("src") is None:
            # The engine would fetch the icon from another company's server, at every opening.
            said = gettext("Give this mj-social-element a src: the address of its icon on your own site.")
            self.say(token.start, said)
        return None

    def _closed(self, token: Token) -> None:
        names = [one.name for one in self.open]
        if token.name not in names or (
            not token.name.startswith("mj") and any(one.startswith("mj") for one in names[_last(names, token.name) :])
        ):
            meant = names[-1] if names else ""
            said = gettext("%(tag)s closes nothing that is open here.") % {"tag": f"</{token.name}>"}
            return self.say(token.start, said, meant and f"</{meant}>")
        while (left := self.open.pop()).name != token.name:
            self._never_closed(left)
        return None

    def _never_closed(self, token: Token) -> None:
        said = gettext("%(tag)s is never closed: add %(end)s.")
        self.say(token.start, said % {"tag": f"<{token.name}>", "end": f"</{token.name}>"})

    def _text(self, token: Token) -> None:
        text = self.masked[token.start : token.end]
        inside = any(one.name in schema.HTML_INSIDE | schema.TEXT_INSIDE for one in self.open)
        if not inside and text.replace(BLANK, "").strip():
            offset = token.start + len(text) - len(text.lstrip(f"{BLANK} \t\r\n"))
            said = gettext("Text stands between components, where it would be lost: put it into mj-text.")
            self.say(offset, said)
        style = any(one.name == "mj-style" for one in self.open)
        if "<" in text and inside and not style:
            self.say(token.start + text.index("<"), gettext("Write &lt; for a < that begins no tag."))

    def _place_tags(self, token: Token) -> None:
        """Decide how each template tag inside this token is masked, and that blocks close where they opened."""
        while self._next_tag < len(self.tags) and self.tags[self._next_tag].start < token.end:
            tag = self.tags[self._next_tag]
            self._next_tag += 1
            holder = self.open[-1] if self.open else None
            if token.kind != "text":
                how = "word"
            elif holder is not None and holder.name in _TABLE:
                how = "comment"
            elif any(one.name in schema.HTML_INSIDE | schema.TEXT_INSIDE for one in self.open):
                how = "word"
            elif holder is not None and holder.name in schema.PARENTS["mj-raw"] and holder.name != "mj-head":
                how = "raw"
            else:
                said = gettext("Template tags cannot stand in %(holder)s: move them inside the body.")
                self.say(tag.start, said % {"holder": _holder(holder.name if holder else "")})
                how = "word"
            self.masks.append((tag, how))
            self._check_block(tag, token if token.kind == "open" else holder)

    def _check_block(self, tag: Tag, place: Token | None) -> None:
        word = tag.body.strip("-+ \n").partition(" ")[0].strip() if tag.kind == "{%" else ""
        if word in ("if", "for"):
            self._blocks.append((word, tag, place))
        elif word in ("endif", "endfor") and self._blocks:
            opened, first, where = self._blocks.pop()
            if where is not place:
                said = gettext(
                    "%(tag)s of line %(line)s must end where it began: inside the same element (%(holder)s)."
                )
                facts = {"tag": f"{{% {opened} %}}", "line": first.line, "holder": _holder(where.name if where else "")}
                self.say(tag.start, said % facts)


def _holder(name: str) -> str:
    """What something stands in; outside every component there is only the top of the source."""
    return f"<{name}>" if name else gettext("the top of the template")


def _last(names: list[str], name: str) -> int:
    return len(names) - 1 - names[::-1].index(name)


def validate(source: str, tags: list[Tag]) -> list[Problem]:
    """Everything wrong with the MJML itself; the template language is checked elsewhere."""
    walk = _Walk(source, tags)
    walk.run()
    return walk.problems


_STYLE = re.compile(r"<mj-style\s+[^>]*inline=[\"']inline[\"'][^>]*>(.*?)</mj-style>", re.DOTALL)


def compile_mjml(source: str) -> str:
    """The HTML of MJML, template tags and link markers kept; raises TemplateProblem when the engine refuses it.

    Tags are masked on the way: as words, as comments between rows of a table (where a word would be thrown out of
    it), as mj-raw between components.
    """
    walk = _Walk(source, scan(source)[0])
    walk.run()
    nonce = f"ev{token_hex(6)}x"
    pieces, last, kept = [], 0, []
    for tag, how in walk.masks:
        word = f"{nonce}{len(kept)}z"
        kept.append(source[tag.start : tag.end])
        shown = {"comment": f"<!--{word}-->", "raw": f"<mj-raw><!--{word}--></mj-raw>"}.get(how, word)
        pieces += [source[last : tag.start], shown]
        last = tag.end
    masked = "".join([*pieces, source[last:]])
    styles = [found.group(1) for found in _STYLE.finditer(masked)]
    try:
        # fonts: none but those of mj-font. The engine's own list would have every reader's machine ask Google.
        made = str(mjml2html(_STYLE.sub("", masked), fonts={}))
    except ValueError as error:
        said = gettext("This MJML cannot be compiled: check that each tag is closed and each attribute has quotes.")
        raise TemplateProblem([Problem(1, said)]) from error
    if styles:
        made = inline(made.replace("<style ", '<style data-css-inline="ignore" '), "\n".join(styles))
        made = made.replace(' data-css-inline="ignore"', "")
    return unmask(made, nonce, kept)


def unmask(made: str, nonce: str, kept: list[str]) -> str:
    return re.sub(rf"<!--{nonce}(\d+)z-->|{nonce}(\d+)z", lambda m: kept[int(m.group(1) or m.group(2))], made)


def inline(html: str, css: str | None = None) -> str:
    """CSS moved into style attributes, because several mail programs read nothing else."""
    inliner = css_inline.CSSInliner(
        inline_style_tags=True,
        keep_style_tags=True,  # media queries live there
        keep_at_rules=True,
        load_remote_stylesheets=False,  # it would read http:// and file://
        extra_css=css,
    )
    return str(inliner.inline(html))


def inline_template(source: str) -> str:
    """The same for HTML with template tags in it."""
    tags, _ = scan(source)
    masked, nonce = blank(source, tags), f"ev{token_hex(6)}x"
    pieces, last, kept, number, open_names = [], 0, [], 0, []
    for token in tokens(masked):
        while number < len(tags) and tags[number].start < token.end:
            tag, number = tags[number], number + 1
            word = f"{nonce}{len(kept)}z"
            kept.append(source[tag.start : tag.end])
            in_table = token.kind == "text" and open_names and open_names[-1] in _TABLE
            pieces += [source[last : tag.start], f"<!--{word}-->" if in_table else word]
            last = tag.end
        if token.kind == "open" and not token.closed and token.name not in VOID:
            open_names.append(token.name)
        elif token.kind == "close" and token.name in open_names:
            while open_names.pop() != token.name:
                pass
    return unmask(inline("".join([*pieces, source[last:]])), nonce, kept)
