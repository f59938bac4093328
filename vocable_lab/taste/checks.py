"""Checks of possible causes why a TASTE model predicts units poorly: each compares figures with a bound."""

import math
from collections.abc import Mapping
from dataclasses import dataclass

MIN_LENGTH_RATIO = 0.1
"""Length of the speech vectors over that of the text vectors, under which speech hardly counts."""
MIN_GAIN = 0.01
"""Gain of top-1 over text alone, under which the speech is not used."""
MAX_PADDING_MASS = 0.05
"""Share of the attention on padding, over which padding is a fault."""
MAX_PADDING_LOSS = 0.02
"""Nats that 10 s of silence behind a clip may cost."""
MAX_UPPER_RATIO = 1.2
"""Subwords of a text over those of the same text in lower case."""
MAX_SPREAD = 0.9
"""Entropy of the attention over that of uniform attention."""
MAX_ALIGNMENT_MS = 120.0
"""Milliseconds from the middle of a subword to the center of its attention."""
MIN_MONOTONICITY = 0.75
"""Share of neighboring subwords whose attention is in their order."""
MAX_LAYER_GAIN = 0.05
"""Top-1 of a probe of the best layer over that of the layer of the values."""
GUESSES = ("repeat last", "unigram", "the unit before")


@dataclass(frozen=True, kw_only=True)
class CauseCheck:
    """Result of checking one possible cause.

    Attributes:
        cause: Name of the cause.
        failed: Whether the figures are beyond the bound, so that the cause applies; None where they are missing.
        reason: Figures and bound.
    """

    cause: str
    failed: bool | None
    reason: str

    @property
    def text(self) -> str:
        """The result as a sentence."""
        answer = {None: "unknown", True: "yes", False: "no"}[self.failed]
        return f"{self.cause}: {answer}: {self.reason}"


def check_causes(
    figures: Mapping[str, float], layers: Mapping[int, float], *, value_layer: int, normalized: bool, masked: bool
) -> list[CauseCheck]:
    """Check every possible cause.

    Args:
        figures: Mean figures by column of the diagnostics, and those of guesses as ``NAME top1``. A check whose figures
            are missing or NaN has no answer.
        layers: Top-1 of the probe by layer of the encoder.
        value_layer: Layer that the model takes its values from.
        normalized: Whether speech and text vectors are normalized before they are joined.
        masked: Whether the model masks padding.

    Example:
        >>> figures = {"top1": 0.2, "text_only_top1": 0.19999}
        >>> found = check_causes(figures, {}, value_layer=2, normalized=False, masked=True)
        >>> print(found[1].text)
        speech is not used: yes: top-1 20.0 % with it, 20.0 % without; under 1 point of gain is none
    """

    def of(key: str) -> float:
        return figures.get(key, math.nan)

    gain, guesses = of("top1") - of("text_only_top1"), _guesses_as_good(figures)
    ratio_note = "both are normalized, so lengths do not count" if normalized else f"under {MIN_LENGTH_RATIO:g} is weak"
    unmasked = _padding_text(of("padding_mass_unmasked"), of("padding_loss_unmasked"))
    checks: list[tuple[str, tuple[str, ...], bool, str]] = [
        ("worse than a guess", ("top1", "loss", "unigram_entropy"),
         bool(guesses) or of("loss") >= of("unigram_entropy"),
         f"loss {of('loss'):.3f} nats, {of('unigram_entropy'):.3f} from unit frequencies; top-1 "
         f"{_percent(of('top1'))}, {'no better than ' + ' and '.join(guesses) if guesses else 'over all guesses'}"),
        ("speech is not used", ("top1", "text_only_top1"), gain < MIN_GAIN,
         f"top-1 {_percent(of('top1'))} with it, {_percent(of('text_only_top1'))} without; under {100 * MIN_GAIN:g} "
         "point of gain is none"),
        ("weak z", ("heard_to_said",), not normalized and of("heard_to_said") < MIN_LENGTH_RATIO,
         f"speech vectors are {of('heard_to_said'):.3f} times as long as text vectors; {ratio_note}"),
        ("unmasked padding", ("padding_mass", "padding_loss"),
         of("padding_mass") > MAX_PADDING_MASS or abs(of("padding_loss")) > MAX_PADDING_LOSS,
         f"10 s of silence behind the clips, {'masked' if masked else 'not masked, as in this model'}: "
         f"{_padding_text(of('padding_mass'), of('padding_loss'))}; over {100 * MAX_PADDING_MASS:g} % or "
         f"{MAX_PADDING_LOSS:g} nats is a fault" + (f"; without the mask: {unmasked}" if masked else "")),
        ("upper-case subwords", ("pieces_written", "pieces_lower"),
         of("pieces_written") >= MAX_UPPER_RATIO * of("pieces_lower"),
         f"{of('pieces_written'):.2f} subwords a second of the texts as written, {of('pieces_lower'):.2f} in lower "
         f"case; {MAX_UPPER_RATIO:g} times as many is too many"),
        ("attention is uniform", ("attention_spread",), of("attention_spread") > MAX_SPREAD,
         f"its entropy is {of('attention_spread'):.2f} of that of uniform attention; over {MAX_SPREAD:g} is uniform"),
        ("attention in the wrong order", ("monotonicity",), of("monotonicity") < MIN_MONOTONICITY,
         f"{_percent(of('monotonicity'))} of neighboring subwords are attended in their order; under "
         f"{_percent(MIN_MONOTONICITY)} is too few"),
        ("attention in the wrong place", ("alignment_error_ms",), of("alignment_error_ms") > MAX_ALIGNMENT_MS,
         f"{of('alignment_error_ms'):.0f} ms from the subwords, median; over {MAX_ALIGNMENT_MS:g} ms is wrong"),
    ]  # fmt: skip
    results = []
    for cause, keys, failed, reason in checks:
        missing = [key for key in keys if math.isnan(of(key))]
        results.append(
            CauseCheck(cause=cause, failed=None, reason=f"not measured: {', '.join(missing)}")
            if missing
            else CauseCheck(cause=cause, failed=failed, reason=reason)
        )
    return [*results, _check_layers(layers, value_layer)]


def _guesses_as_good(figures: Mapping[str, float]) -> list[str]:
    """Return the guesses whose top-1 is at least that of the model."""
    top1 = figures.get("top1", math.nan)
    return [name for name in GUESSES if figures.get(f"{name} top1", math.nan) >= top1]


def _padding_text(mass: float, loss: float) -> str:
    return f"{_percent(mass)} of the attention on it, loss {loss:+.3f} nats"


def _percent(share: float) -> str:
    return f"{100 * share:.1f} %"


def _check_layers(layers: Mapping[int, float], value_layer: int) -> CauseCheck:
    """Check whether another layer tells more about the units than that of the values."""
    cause = "values of the wrong layer"
    if value_layer not in layers:
        return CauseCheck(cause=cause, failed=None, reason="not measured: probes of the layers")
    best = max(layers, key=lambda layer: layers[layer])
    return CauseCheck(
        cause=cause, failed=layers[best] - layers[value_layer] > MAX_LAYER_GAIN,
        reason=f"a linear probe predicts {_percent(layers[value_layer])} of the common units from layer {value_layer}, "
        f"{_percent(layers[best])} from layer {best}, the best; over {100 * MAX_LAYER_GAIN:g} points more is too many",
    )  # fmt: skip
