"""Which MJML there is: every component, where it may stand, what can be set on it (MJML 4.15)."""

from __future__ import annotations

from django.utils.translation import gettext_noop

_PADDING = "padding padding-top padding-right padding-bottom padding-left"
_BORDER = "border border-top border-right border-bottom border-left border-radius"
_FONT = "color font-family font-size font-style font-weight letter-spacing line-height text-decoration text-transform"
_BACKGROUND = (
    "background-color background-position background-position-x background-position-y background-repeat"
    " background-size background-url"
)
_LINK = "href name rel target title"
_SECTION = f"{_BACKGROUND} {_BORDER} {_PADDING} direction full-width text-align text-padding gap"
_IMAGE = f"align alt container-background-color height max-height width sizes src srcset usemap {_BORDER} {_PADDING}"

_CONTENT = "mj-column mj-hero"

_COMPONENTS: dict[str, tuple[str, str]] = {
    # name: (parents, attributes besides css-class and mj-class)
    "mjml": ("", "owa lang dir"),
    "mj-head": ("mjml", ""),
    "mj-body": ("mjml", "background-color width id"),
    "mj-title": ("mj-head", ""),
    "mj-preview": ("mj-head", ""),
    "mj-attributes": ("mj-head", ""),
    "mj-breakpoint": ("mj-head", "width"),
    "mj-font": ("mj-head", "name href"),
    "mj-style": ("mj-head", "inline"),
    "mj-wrapper": ("mj-body", _SECTION),
    "mj-section": ("mj-body mj-wrapper", _SECTION),
    "mj-hero": (
        "mj-body mj-wrapper",
        f"{_BACKGROUND} {_PADDING} background-height background-width border-radius container-background-color height"
        " inner-background-color inner-padding mode vertical-align width",
    ),
    "mj-group": ("mj-section", "background-color direction vertical-align width"),
    "mj-column": (
        "mj-section mj-group",
        f"background-color direction {_BORDER} {_PADDING} vertical-align width inner-background-color inner-border"
        " inner-border-top inner-border-right inner-border-bottom inner-border-left inner-border-radius",
    ),
    "mj-text": (_CONTENT, f"align container-background-color height vertical-align {_FONT} {_PADDING}"),
    "mj-button": (
        _CONTENT,
        f"align background-color container-background-color height inner-padding text-align vertical-align width"
        f" {_BORDER} {_FONT} {_LINK} {_PADDING}",
    ),
    "mj-image": (_CONTENT, f"{_IMAGE} {_LINK} fluid-on-mobile full-width font-size"),
    "mj-divider": (
        _CONTENT,
        f"align border-color border-style border-width container-background-color width {_PADDING}",
    ),
    "mj-spacer": (_CONTENT, f"container-background-color height vertical-align {_PADDING}"),
    "mj-table": (
        _CONTENT,
        f"align cellpadding cellspacing container-background-color role table-layout vertical-align width"
        f" {_BORDER} {_FONT} {_PADDING}",
    ),
    "mj-raw": (
        "mj-body mj-wrapper mj-section mj-group mj-column mj-hero mj-social mj-navbar mj-accordion mj-head",
        "position",
    ),
    "mj-social": (
        _CONTENT,
        f"align container-background-color icon-height icon-padding icon-size inner-padding mode table-layout"
        f" text-padding vertical-align border-radius {_FONT} {_PADDING}",
    ),
    "mj-social-element": (
        "mj-social",
        f"align alt background-color icon-height icon-padding icon-position icon-size sizes src srcset text-padding"
        f" vertical-align border-radius {_FONT} {_LINK} {_PADDING}",
    ),
    "mj-navbar": (
        _CONTENT,
        "align base-url hamburger ico-align ico-close ico-color ico-font-family ico-font-size ico-line-height ico-open"
        " ico-padding ico-padding-top ico-padding-right ico-padding-bottom ico-padding-left ico-text-decoration"
        f" ico-text-transform {_PADDING}",
    ),
    "mj-navbar-link": ("mj-navbar", f"{_FONT} {_LINK} {_PADDING}"),
    "mj-accordion": (
        _CONTENT,
        f"border container-background-color font-family icon-align icon-height icon-position icon-unwrapped-alt"
        f" icon-unwrapped-url icon-width icon-wrapped-alt icon-wrapped-url {_PADDING}",
    ),
    "mj-accordion-element": (
        "mj-accordion",
        "background-color border font-family icon-align icon-height icon-position icon-unwrapped-alt"
        " icon-unwrapped-url icon-width icon-wrapped-alt icon-wrapped-url",
    ),
    "mj-accordion-title": ("mj-accordion-element", f"background-color {_FONT} {_PADDING}"),
    "mj-accordion-text": ("mj-accordion-element", f"background-color {_FONT} {_PADDING}"),
    "mj-carousel": (
        _CONTENT,
        "align border-radius container-background-color icon-width left-icon right-icon tb-border tb-border-radius"
        f" tb-hover-border-color tb-selected-border-color tb-width thumbnails {_PADDING}",
    ),
    "mj-carousel-image": ("mj-carousel", f"alt src thumbnails-src border-radius tb-border tb-border-radius {_LINK}"),
}

PARENTS: dict[str, frozenset[str]] = {name: frozenset(parents.split()) for name, (parents, _) in _COMPONENTS.items()}
ATTRIBUTES: dict[str, frozenset[str]] = {
    name: frozenset([*attributes.split(), "css-class", "mj-class"]) for name, (_, attributes) in _COMPONENTS.items()
}
# Components whose content is HTML.
_HTML = "mj-text mj-button mj-table mj-raw mj-social-element mj-navbar-link mj-accordion-title mj-accordion-text"
HTML_INSIDE = frozenset(_HTML.split())
# Components whose content is plain text or CSS.
TEXT_INSIDE = frozenset(["mj-title", "mj-preview", "mj-style"])
REFUSED = {
    "mj-include": gettext_noop("mj-include reads files: paste what it would include."),
    "mj-html-attributes": gettext_noop("mj-html-attributes is not supported: set the attributes on the components."),
    "mj-selector": gettext_noop("mj-selector is not supported: set the attributes on the components."),
}
LINK_HOLDERS = frozenset(
    ["mj-button", "mj-image", "mj-navbar-link", "mj-social-element", "mj-carousel-image", "a", "area"]
)
