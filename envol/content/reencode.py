"""A picture decoded once and encoded again: what comes out was written by us, down to the last octet.

The format is told by the content. Sizes are read from the head of the file and refused before a pixel is decoded.
Position, camera, comments, colour profile and whatever hides behind the last octet stay behind.
"""

from __future__ import annotations

import io
import warnings
from typing import IO

from django.utils.translation import gettext as _
from PIL import Image, ImageCms, ImageOps, ImageSequence, UnidentifiedImageError

from envol.content.problems import MediaProblem

MAX_PIXELS = 40_000_000  # of one frame; a photograph of a good telephone has 12 to 50 million
MAX_FRAMES, MAX_FRAME_PIXELS = 300, 30_000_000  # of an animation, together
WIDTHS = (1200, 600)  # twice and once the width of a letter
_FORMATS = ("JPEG", "PNG", "GIF", "WEBP")


class Made:
    def __init__(self, kind: str, width: int, height: int, frames: int, files: dict[int, bytes]) -> None:
        self.kind, self.width, self.height, self.frames, self.files = kind, width, height, frames, files


def made(file: IO[bytes]) -> Made:
    try:
        with warnings.catch_warnings():
            # We count the pixels ourselves, before any of them is decoded.
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            image = Image.open(file, formats=_FORMATS)
            width, height = image.size
            if width * height > MAX_PIXELS or max(width, height) > 30_000:
                raise MediaProblem(
                    _("The picture has more than 40 million pixels: save it smaller, then send it again.")
                )
            frames = int(getattr(image, "n_frames", 1)) if image.format in ("GIF", "WEBP", "PNG") else 1
            if frames > 1:
                return _animation(image, frames)
            return _still(image)
    except MediaProblem:
        raise
    except (UnidentifiedImageError, Image.DecompressionBombError):
        raise MediaProblem(_("This is no picture we can show in a message: send a JPEG, PNG, GIF or WebP.")) from None
    except (OSError, SyntaxError, ValueError, EOFError, MemoryError, IndexError, KeyError, TypeError, ArithmeticError):
        # Whatever a decoder trips over: the file is broken, or made to break decoders.
        raise MediaProblem(_("The file cannot be read to its end: save the picture again, then send it.")) from None


def _still(image: Image.Image) -> Made:
    image.draft("RGB", (2 * WIDTHS[0], 2 * WIDTHS[0]))  # a JPEG is decoded no larger than needed
    image.load()
    sharp = image.format in ("PNG", "GIF")  # saved without loss: a drawing, perhaps
    image = ImageOps.exif_transpose(image)
    image = _srgb(image)
    clear = _transparent(image)
    flat = image.convert("RGBA" if clear else "RGB")
    flat.info = {}  # comments and profiles would be written again
    if image.width > WIDTHS[0]:
        flat.thumbnail((WIDTHS[0], 20_000), Image.Resampling.LANCZOS)
    drawing = sharp and not clear and flat.getcolors(256) is not None
    kind = "png" if clear or drawing else "jpg"
    files: dict[int, bytes] = {}
    for width in _widths(flat.width):
        one = flat
        if width < flat.width:
            height = max(1, round(flat.height * width / flat.width))
            one = flat.resize((width, height), Image.Resampling.LANCZOS)
        out = io.BytesIO()
        if kind == "jpg":
            one.save(out, "JPEG", quality=82, optimize=True, progressive=True)
        else:
            one.save(out, "PNG", optimize=True)
        files[width] = out.getvalue()
    return Made(kind, flat.width, flat.height, 1, files)


def _widths(width: int) -> list[int]:
    """The widths to make of a picture this wide: never larger than it is."""
    return sorted({min(width, wanted) for wanted in WIDTHS}, reverse=True)


def _srgb(image: Image.Image) -> Image.Image:
    """Colours as a screen without colour management shows them: the profile goes with all other facts of the file."""
    profile = image.info.get("icc_profile")
    if profile and image.mode in ("RGB", "RGBA", "CMYK"):
        try:
            to = "RGBA" if image.mode == "RGBA" else "RGB"
            made = ImageCms.profileToProfile(
                image, ImageCms.ImageCmsProfile(io.BytesIO(profile)), ImageCms.createProfile("sRGB"), outputMode=to
            )
            if made is not None:
                return made
        except (ImageCms.PyCMSError, OSError, ValueError, TypeError):
            pass  # a broken profile: the colours as they are
    return image


def _transparent(image: Image.Image) -> bool:
    if image.mode in ("RGBA", "LA", "PA"):
        low, _high = image.getchannel("A").getextrema()
        return isinstance(low, int | float) and low < 255
    return "transparency" in image.info


def _animation(image: Image.Image, frames: int) -> Made:
    """An animation stays one, as GIF; a heavy one is refused, because it would keep everybody waiting."""
    if frames > MAX_FRAMES or frames * image.width * image.height > MAX_FRAME_PIXELS:
        raise MediaProblem(_("The animation is too long or too large: keep it under 300 pictures and 600 pixels wide."))
    scale = min(1.0, WIDTHS[1] / image.width)
    size = (max(1, round(image.width * scale)), max(1, round(image.height * scale)))
    made: list[Image.Image] = []
    waits: list[int] = []
    for frame in ImageSequence.Iterator(image):
        waits.append(min(max(int(frame.info.get("duration") or 100), 20), 60_000))
        full = frame.convert("RGBA")
        full.info = {}
        made.append(full.resize(size, Image.Resampling.LANCZOS) if scale < 1 else full)
    out = io.BytesIO()
    made[0].save(
        out, "GIF", save_all=True, append_images=made[1:], duration=waits, loop=int(image.info.get("loop", 0)),
        disposal=2, optimize=True,
    )  # fmt: skip
    return Made("gif", size[0], size[1], len(made), {size[0]: out.getvalue()})
