"""Pictures from strangers: what comes out was written by us, whatever went in."""

from __future__ import annotations

import io
import struct
import zlib
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from envol.accounts.models import Workspace
from envol.accounts.workspaces import create_workspace
from envol.content import media, templates
from envol.content.models import Media, MediaUse
from envol.content.problems import MediaProblem
from tests.content.test_gallery import filled


def picture(kind: str = "JPEG", size: tuple[int, int] = (1600, 900), mode: str = "RGB", **more: Any) -> bytes:
    image = Image.linear_gradient("L").resize(size).convert(mode)
    out = io.BytesIO()
    image.save(out, kind, **more)
    return out.getvalue()


def take(workspace: Workspace, content: bytes, name: str = "photo.jpg") -> Media:
    return media.receive(workspace, io.BytesIO(content), name)


def files(made: Media) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in (media.folder() / made.token).iterdir()}


def test_a_photograph_is_made_anew_in_two_widths(workspace: Workspace) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # turned: the camera was held upright
    exif[0x010F] = "A camera"
    exif.get_ifd(0x8825)[2] = (47.0, 12.0, 30.0)  # where it was taken
    made = take(workspace, picture(exif=exif.tobytes()))
    assert (made.kind, made.width, made.height) == ("jpg", 900, 1600)
    assert set(files(made)) == {"900.jpg", "600.jpg"}
    for width, content in files(made).items():
        again = Image.open(io.BytesIO(content))
        assert not again.getexif() and not again.info.get("icc_profile") and b"camera" not in content
        assert again.width == int(width.partition(".")[0])
    assert made.sizes == {name.partition(".")[0]: len(content) for name, content in files(made).items()}
    assert len(made.token) == 22  # 128 bits
    assert oct((media.folder() / made.token / "600.jpg").stat().st_mode)[-3:] == "600"


@pytest.mark.parametrize(
    ("content", "kind"),
    [
        (picture("PNG", mode="RGBA"), "png"), (picture("PNG", (64, 64), "L"), "png"), (picture("WEBP"), "jpg"),
        (picture("GIF", (50, 40)), "png"), (picture("JPEG", mode="CMYK"), "jpg"), (picture("JPEG", mode="L"), "jpg"),
    ],
)  # fmt: skip
def test_other_kinds_become_what_every_mail_program_shows(content: bytes, kind: str, workspace: Workspace) -> None:
    made = take(workspace, content)
    assert made.kind == kind
    for one in files(made).values():
        assert Image.open(io.BytesIO(one)).format in ("PNG", "JPEG")


def test_what_is_transparent_stays_so(workspace: Workspace) -> None:
    out = io.BytesIO()
    Image.new("RGBA", (20, 10), (255, 0, 0, 128)).save(out, "PNG")
    made = take(workspace, out.getvalue())
    assert made.kind == "png"
    again = Image.open(io.BytesIO(files(made)["20.png"])).convert("RGBA")
    assert again.getpixel((3, 3)) == (255, 0, 0, 128)


def animation(frames: int, size: tuple[int, int]) -> bytes:
    out = io.BytesIO()
    pictures = [Image.new("RGB", size, (n * 40 % 256, 20, n * 7 % 256)) for n in range(frames)]
    pictures[0].save(out, "GIF", save_all=True, append_images=pictures[1:], duration=80, loop=0, comment=b"made by")
    return out.getvalue()


def test_an_animation_stays_one_and_a_heavy_one_is_refused(workspace: Workspace) -> None:
    made = take(workspace, animation(5, (900, 300)))
    assert (made.kind, made.width, made.height, made.frames) == ("gif", 600, 200, 5)
    assert getattr(Image.open(io.BytesIO(files(made)["600.gif"])), "n_frames", 1) == 5
    assert b"made by" not in files(made)["600.gif"]
    with pytest.raises(MediaProblem, match="animation"):
        take(workspace, animation(301, (8, 8)))
    with pytest.raises(MediaProblem, match="animation"):
        take(workspace, animation(40, (1300, 1300)))


def bomb(width: int, height: int) -> bytes:
    """A PNG whose head promises that many pixels, and whose body is zeros."""

    def chunk(name: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))

    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", head)
        + chunk(b"IDAT", zlib.compress(bytes(10 << 20), 9))
        + chunk(b"IEND", b"")
    )


SVG = b'<svg xmlns="http://www.w3.org/2000/svg"><script>alert(1)</script></svg>'


@pytest.mark.parametrize(
    "content",
    [
        b"", b"not a picture", SVG, b"<?xml version='1.0'?>" + SVG, b"<html><script>alert(1)</script>",
        b"%PDF-1.7 ...", b"GIF89a" + b"\0" * 20, b"\xff\xd8\xff\xe0" + b"\0" * 50, picture()[:3000],
        bomb(60_000, 60_000), bomb(20_000, 20_000), bomb(31_000, 10), b"BM" + b"\0" * 60,
        picture("TIFF", (10, 10)), picture("BMP", (10, 10)), picture("ICO", (16, 16)),
        b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\n", b"P6 99999 99999 255\n",
    ],
    ids=lambda content: content[:12].hex(),
)  # fmt: skip
def test_what_is_no_picture_of_ours_is_refused_and_leaves_nothing(content: bytes, workspace: Workspace) -> None:
    before = set(media.folder().iterdir())
    with pytest.raises(MediaProblem) as refused:
        take(workspace, content, "photo.jpg")
    assert str(refused.value).endswith(".") and set(media.folder().iterdir()) == before
    assert not Media.objects.filter(workspace=workspace).exists()


def test_what_hides_behind_or_inside_a_picture_stays_behind(workspace: Workspace) -> None:
    """A file that is a picture and something else at once: only the picture comes out."""
    script = b"<script>alert(document.domain)</script>"
    gif = picture("GIF", (30, 30))
    polyglots = [
        picture("JPEG", (30, 30), comment=script) + script,
        picture("PNG", (30, 30)) + b"PK\x03\x04" + script,
        gif[:-1] + b"\x21\xfe" + bytes([len(script)]) + script + b"\0;" + script,
    ]
    for content in polyglots:
        made = take(workspace, content, "x.html")
        assert made.kind in ("jpg", "png")
        assert all(script not in one and b"PK\x03" not in one for one in files(made).values())


def test_names_are_words_and_never_paths(workspace: Workspace) -> None:
    for number, name in enumerate(("../../etc/passwd", "C:\\x\\photo.svg", "a\x00b\u202egpj.exe", "", "é" * 500)):
        made = take(workspace, picture("PNG", (10 + number, 10)), name)
        assert "/" not in made.name and "\\" not in made.name and "\x00" not in made.name and "\u202e" not in made.name
        assert 0 < len(made.name) <= 200


@pytest.mark.parametrize(
    "path",
    ["../secret", "x/../../secret", "A" * 22 + "/../secret", "A" * 22 + "/600.svg", "A" * 22 + "/600.jpg/..",
     "A" * 22 + "/%2e%2e/secret", "A" * 21 + "/600.jpg", "A" * 22 + "/600.jpg\n", "/etc/passwd", ""],
)  # fmt: skip
def test_no_path_leads_out_of_the_folder(path: str) -> None:
    assert media.file_of(path) is None


def test_the_same_file_twice_is_one_picture_and_another_workspace_has_its_own(workspace: Workspace) -> None:
    content = picture("PNG", (40, 40))
    one, two = take(workspace, content), take(workspace, content, "again.png")
    other = take(create_workspace("w" + one.token[:6].lower().replace("_", "a").replace("-", "b"), title="B"), content)
    assert one.pk == two.pk and other.pk != one.pk and other.token != one.token
    assert media.pictures(workspace, [one.pk, other.pk], "https://x.example").keys() == {one.pk}


def test_a_picture_that_a_message_shows_cannot_be_deleted(workspace: Workspace) -> None:
    from envol.content import designs

    made = take(workspace, picture("PNG", (50, 50)))
    design = filled("letter", "fr")
    design.values["picture"] |= {"media": made.pk, "alt": "Une lampe", "size": "half"}
    version = designs.save(workspace, "m", design, "s", base_url="https://envoi.example")
    assert f'src="https://envoi.example/m/{made.token}/50.png"' in version.html and 'alt="Une lampe"' in version.html
    assert MediaUse.objects.filter(media=made, version=version).exists()
    with pytest.raises(MediaProblem, match="message"):
        media.delete(made)
    free = take(workspace, picture("PNG", (51, 50)))
    media.delete(free)
    assert not (media.folder() / free.token).exists() and not Media.objects.filter(pk=free.pk).exists()


def test_code_remembers_its_pictures_too(workspace: Workspace) -> None:
    made = take(workspace, picture("PNG", (52, 50)))
    source = f'<body><img src="https://envoi.example{media.address(made, 600)}" alt=""></body>'
    version = templates.save(workspace, "code", "html", source, "s")
    assert MediaUse.objects.filter(media=made, version=version).exists()


def test_foreign_pictures_do_not_show(workspace: Workspace) -> None:
    from envol.content import designs

    other = create_workspace(workspace.name + "b", title="B")
    theirs = take(other, picture("PNG", (53, 50)))
    design = filled("letter", "fr")
    design.values["picture"] |= {"media": theirs.pk, "alt": "x"}
    assert theirs.token not in designs.source(workspace, design, "https://envoi.example")


def test_what_a_crash_left_is_swept(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    import os

    kept = take(workspace, picture("PNG", (54, 50)))
    left = media.folder() / ("B" * 22)
    left.mkdir()
    (left / "600.png").write_bytes(b"x")
    os.utime(left, (1, 1))
    os.utime(media.folder() / kept.token, (1, 1))
    media.sweep()
    assert not left.exists() and Path(media.folder() / kept.token).exists()
