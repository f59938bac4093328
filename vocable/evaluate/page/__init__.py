"""Self-contained pages: their rendering from templates, styles and scripts.

A page is one HTML file: style, script, pictures and sounds are inlined, and its content security policy allows no
request and no script but the one whose digest it names. Every value is escaped, so that file names may be hostile.
"""

import base64
import hashlib
import tempfile
import unicodedata
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined, select_autoescape
from markupsafe import Markup

from vocable.audio import Audio

_FOLDER = Path(__file__).parent
_DIRECTED = {"R", "AL", "AN", "RLE", "RLO", "LRE", "LRO", "RLI", "LRI", "FSI", "PDI", "PDF"}  # classes of letters
_ISOLATES, _POP = {"\u2066", "\u2067", "\u2068"}, "\u2069"


def render_template(template: str, folder: Path | None = None, **values: object) -> str:
    r"""Render a template with its assets inlined.

    Args:
        template: File name of the template; ``.html.j2`` is escaped as HTML, ``.md.j2`` is not.
        folder: Folder that is searched for templates and assets before this one.
        values: Variables of the template.

    Example:
        >>> page = render_template("base.html.j2", title="<b>")
        >>> "<title>&lt;b&gt;</title>" in page, "<script" in page
        (True, False)
    """
    loader = FileSystemLoader([folder or _FOLDER, _FOLDER])
    environment = Environment(
        loader=loader, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True,
        autoescape=select_autoescape(["html.j2"], ["md.j2"]), finalize=_isolate_strings,
    )  # fmt: skip
    environment.filters["isolate"] = isolate

    def read_asset(name: str) -> Markup:
        return Markup(loader.get_source(environment, name)[0])  # noqa: S704

    def hash_asset(name: str) -> str:
        return base64.b64encode(hashlib.sha256(read_asset(name).encode()).digest()).decode()

    text = environment.get_template(template, globals={"asset": read_asset, "digest": hash_asset}).render(values)
    return text.encode("utf-8", "replace").decode()  # a file name need not be valid UTF-8


def isolate(text: str) -> str:
    r"""Keep the direction of a text, such as a name in Hebrew or one that holds marks of direction, to itself.

    A text that can change the direction of what follows is put between U+2068 (first strong isolate) and U+2069 (pop
    directional isolate). Its own isolates are closed and its stray pops removed, so that it cannot end the isolation.

    Source:
        Unicode Standard Annex 9, sections 2.4 and 6.3.

    Example:
        >>> isolate("clip.wav"), isolate("a\u202eb"), isolate("a\u2069\u202eb")
        ('clip.wav', '\u2068a\u202eb\u2069', '\u2068a\u202eb\u2069')
    """
    if not any(unicodedata.bidirectional(letter) in _DIRECTED for letter in text):
        return text
    depth, kept = 0, []
    for letter in text:
        depth += (letter in _ISOLATES) - (letter == _POP)
        if depth >= 0:
            kept.append(letter)
        depth = max(depth, 0)
    return f"\u2068{''.join(kept)}{_POP * depth}{_POP}"


def _isolate_strings(value: object) -> object:
    """Isolate what a template prints, except markup, whose parts were isolated when they were printed."""
    return isolate(value) if isinstance(value, str) and not isinstance(value, Markup) else value


def data_uri(kind: str, content: bytes) -> str:
    """Encode the bytes of a file as a data URI of a media type.

    Example:
        >>> data_uri("image/png", b"PNG")
        'data:image/png;base64,UE5H'
    """
    return f"data:{kind};base64,{base64.b64encode(content).decode()}"


def encode_flac(audio: Audio) -> bytes:
    """Encode a sound as FLAC with 16 bits a sample, which every browser plays.

    Example:
        >>> from vocable.testing import speechlike
        >>> encode_flac(speechlike(800))[:4]
        b'fLaC'
    """
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "sound.flac"
        audio.write(path)
        return path.read_bytes()
