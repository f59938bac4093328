"""HTML with which audio and tokens show themselves in a notebook: escaped, and of bounded size."""

import base64
import io
import wave
from collections.abc import Iterable, Sequence
from html import escape

import numpy as np
from jaxtyping import Float
from numpy import ndarray

_MAX_BYTES = 2 << 20  # of the samples in a player
_MAX_CELL = 200  # characters of a cell


def player_html(samples: Float[ndarray, " T"], sample_rate: int) -> str:
    """Return a player of the first samples, up to 2 MiB of them as 16-bit PCM.

    Example:
        >>> player_html(np.zeros(8, dtype=np.float32), 8_000)[:47]
        '<audio controls src="data:audio/wav;base64,UklG'
    """
    shown = samples[: _MAX_BYTES // 2]
    file = io.BytesIO()
    with wave.open(file, "wb") as writer:
        writer.setnchannels(1)
        writer.setsampwidth(2)
        writer.setframerate(sample_rate)
        writer.writeframes((np.clip(shown, -1, 1) * 32_767).round().astype("<i2").tobytes())
    seconds, total = shown.size / sample_rate, samples.size / sample_rate
    length = f"{total:.2f} s" if shown.size == samples.size else f"the first {seconds:.0f} s of {total:.0f} s"
    data = base64.b64encode(file.getvalue()).decode()
    return f'<audio controls src="data:audio/wav;base64,{data}"></audio><div>{length} at {sample_rate} Hz</div>'


def table_html(title: str, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Return a table; every cell is escaped and cut after 200 characters.

    Example:
        >>> table_html("a", ["b"], [["<c>"]])
        '<table><caption>a</caption><tr><th>b</th></tr><tr><td>&lt;c&gt;</td></tr></table>'
    """
    head = "".join(f"<th>{_cell(column)}</th>" for column in columns)
    body = "".join("<tr>" + "".join(f"<td>{_cell(value)}</td>" for value in row) + "</tr>" for row in rows)
    return f"<table><caption>{_cell(title)}</caption><tr>{head}</tr>{body}</table>"


def _cell(value: object) -> str:
    text = str(value).encode(errors="replace").decode()
    return escape(text if len(text) <= _MAX_CELL else f"{text[: _MAX_CELL - 1]}…")
