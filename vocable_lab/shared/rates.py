"""Bit rates in reports: of the ids alone, and with everything that a clip carries."""

from collections.abc import Sequence

from vocable.evaluate.card import Column
from vocable.evaluate.summary import BIT_RATE
from vocable.metrics.score import Figure, point_figure
from vocable.systems.token_format import TokenFormat
from vocable.tokens import Tokens

_SECONDS = (3.0, 10.0)
CLIP_RATES = tuple(
    Column(key=f"{BIT_RATE.key}_{seconds:g}s", title=f"bit/s, {seconds:g} s", unit=BIT_RATE.unit, better="lower",
           form=",.0f", caption=f"Bits a second of a clip of {seconds:g} s with all that decoding needs.")
    for seconds in _SECONDS
)  # fmt: skip
RATE_COLUMNS = (
    Column(key=BIT_RATE.key, title="bit/s, ids alone", unit=BIT_RATE.unit, better="lower", form=",.0f",
           caption="Bits a second of the ids, from the spec, without the voice vector of each clip."),
    *CLIP_RATES,
)  # fmt: skip


def clip_rates(token_format: TokenFormat, count: int) -> dict[str, Figure]:
    """Return the figures of :data:`CLIP_RATES`; arguments as in :func:`rate_figures`."""
    rates = map(token_format.bit_rate, _SECONDS)
    return {column.key: point_figure(rate, count) for column, rate in zip(CLIP_RATES, rates, strict=True)}


def rate_figures(token_format: TokenFormat, count: int) -> dict[str, Figure]:
    """Return the figures of :data:`RATE_COLUMNS`.

    Args:
        token_format: Format of the tokens, with the levels that are used.
        count: Number of evaluated clips.

    Example:
        >>> from vocable.tokens import TokenSpec
        >>> form = TokenFormat(spec=TokenSpec(sample_rate=16_000, hop=640, codebook_size=1024), voice_width=224)
        >>> {key: round(figure.mean) for key, figure in rate_figures(form, 1).items()}
        {'bit_rate': 250, 'bit_rate_3s': 2639, 'bit_rate_10s': 967}
    """
    return {BIT_RATE.key: point_figure(token_format.spec.bit_rate, count)} | clip_rates(token_format, count)


def mean_bit_rate(token_format: TokenFormat, clips: Sequence[Tokens]) -> float:
    """Return the bits per second of some clips together, with all that decoding needs; NaN without clips.

    Args:
        token_format: Format of the tokens.
        clips: Tokens of one clip each.
    """
    seconds = [int(tokens.samples[0]) / token_format.spec.sample_rate for tokens in clips]
    return sum(token_format.bit_rate(one) * one for one in seconds) / sum(seconds) if seconds else float("nan")
