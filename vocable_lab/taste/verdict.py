"""Which of the suspects keeps a TASTE on its plateau: each held against a bound that is said, and never by guess."""

import math
from collections.abc import Mapping
from dataclasses import dataclass

WEAK = 0.1  # of the text's vectors: what is heard and is shorter is hardly taken up
GAIN = 0.01  # top-1 over text alone, under which the speech is as good as not heard
PADDED = 0.05  # of the attention on padding, or
COSTLY = 0.02  # nats that 10 s of silence behind a clip cost: more is a fault
DEARER = 1.2  # times as many subwords as in small letters
SPREAD = 0.9  # of the entropy of looking at all frames alike
LATE = 120.0  # ms from the middle of a subword to where it is looked for
BACKWARD = 0.75  # of neighbouring subwords that are looked for in their order, at least
DEEPER = 0.05  # top-1 of the best layer over that of the layer of the values
GUESSES = ("repeat last", "unigram", "the unit before")


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """On one suspect.

    Attributes:
        suspect: What it is.
        guilty: Whether the figures are over the bound; None where they are missing.
        because: The figures and the bound.
    """

    suspect: str
    guilty: bool | None
    because: str

    @property
    def text(self) -> str:
        """As a sentence."""
        said = {None: "cannot be said", True: "yes", False: "no"}[self.guilty]
        return f"{self.suspect}: {said}: {self.because}"


def verdicts(
    figures: Mapping[str, float], layers: Mapping[int, float], *, value_layer: int, normalised: bool, masked: bool
) -> list[Verdict]:
    """One on each suspect.

    Args:
        figures: Means by column of the doctor, and those of guesses as ``NAME top1``; what is missing or NaN makes no
            verdict.
        layers: Top-1 of the probe by layer of the encoder.
        value_layer: The one that the model takes its values from.
        normalised: Whether lengths do not count where speech and text are joined.
        masked: Whether the model masks padding.

    Example:
        >>> found = verdicts({"top1": 0.2, "text_only_top1": 0.19999}, {}, value_layer=2, normalised=False, masked=True)
        >>> print(found[1].text)
        speech that is not used: yes: top-1 20.0 % with it, 20.0 % without; under 1 point of gain is none
    """

    def of(key: str) -> float:
        return figures.get(key, math.nan)

    gain, beaten = of("top1") - of("text_only_top1"), _beaten(figures)
    weak = "here both are normalised, so lengths do not count" if normalised else f"under {WEAK:g} is weak"
    unmasked = _of_padding(of("padding_mass_unmasked"), of("padding_loss_unmasked"))
    suspects: list[tuple[str, tuple[str, ...], bool, str]] = [
        ("worse than a guess", ("top1", "loss", "unigram_entropy"),
         bool(beaten) or of("loss") >= of("unigram_entropy"),
         f"loss {of('loss'):.3f} nats, and {of('unigram_entropy'):.3f} by how often units occur; top-1 "
         f"{_percent(of('top1'))}, {'no better than ' + ' and '.join(beaten) if beaten else 'over all guesses'}"),
        ("speech that is not used", ("top1", "text_only_top1"), gain < GAIN,
         f"top-1 {_percent(of('top1'))} with it, {_percent(of('text_only_top1'))} without; under {100 * GAIN:g} point "
         "of gain is none"),
        ("weak z", ("heard_to_said",), not normalised and of("heard_to_said") < WEAK,
         f"what is heard is {of('heard_to_said'):.3f} times as long as what the text says; {weak}"),
        ("unmasked padding", ("padding_mass", "padding_loss"),
         of("padding_mass") > PADDED or abs(of("padding_loss")) > COSTLY,
         f"10 s of nothing behind the clips, {'masked' if masked else 'not masked, as this model has it'}: "
         f"{_of_padding(of('padding_mass'), of('padding_loss'))}; over {100 * PADDED:g} % or {COSTLY:g} nats is a fault"
         + (f"; were it not masked: {unmasked}" if masked else "")),
        ("upper-case pieces", ("pieces_written", "pieces_lower"), of("pieces_written") >= DEARER * of("pieces_lower"),
         f"{of('pieces_written'):.2f} subwords a second as the model reads these texts, {of('pieces_lower'):.2f} were "
         f"they in small letters; {DEARER:g} times as many is dear"),
        ("attention on everything alike", ("attention_spread",), of("attention_spread") > SPREAD,
         f"its entropy is {of('attention_spread'):.2f} of the most there could be; over {SPREAD:g} is everywhere"),
        ("attention in the wrong order", ("monotonicity",), of("monotonicity") < BACKWARD,
         f"{_percent(of('monotonicity'))} of neighbouring subwords are looked for in their order; under "
         f"{_percent(BACKWARD)} is too few"),
        ("attention in the wrong place", ("alignment_error_ms",), of("alignment_error_ms") > LATE,
         f"{of('alignment_error_ms'):.0f} ms from where subwords are said, median; over {LATE:g} ms is wrong"),
    ]  # fmt: skip
    found = []
    for suspect, keys, guilty, because in suspects:
        missing = [key for key in keys if math.isnan(of(key))]
        found.append(
            Verdict(suspect=suspect, guilty=None, because=f"not measured: {', '.join(missing)}")
            if missing
            else Verdict(suspect=suspect, guilty=guilty, because=because)
        )
    return [*found, _of_layers(layers, value_layer)]


def _beaten(figures: Mapping[str, float]) -> list[str]:
    """Which guesses are right as often as the model."""
    top1 = figures.get("top1", math.nan)
    return [name for name in GUESSES if figures.get(f"{name} top1", math.nan) >= top1]


def _of_padding(mass: float, loss: float) -> str:
    return f"{_percent(mass)} of the attention on it, loss {loss:+.3f} nats"


def _percent(share: float) -> str:
    return f"{100 * share:.1f} %"


def _of_layers(layers: Mapping[int, float], value_layer: int) -> Verdict:
    suspect = "values of the wrong layer"
    if value_layer not in layers:
        return Verdict(suspect=suspect, guilty=None, because="not measured: probes of the layers")
    best = max(layers, key=lambda layer: layers[layer])
    return Verdict(
        suspect=suspect, guilty=layers[best] - layers[value_layer] > DEEPER,
        because=f"a linear probe reads {_percent(layers[value_layer])} of the common units from layer {value_layer}, "
        f"{_percent(layers[best])} from layer {best}, the best; over {100 * DEEPER:g} points more is another's",
    )  # fmt: skip
