"""The table of metrics: name, direction, unit, score function, scorer, and the anchors of each.

To add a metric, write a function in :mod:`vocable.metrics` that returns a ``Score``, and add one line to ``METRICS``.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from itertools import groupby
from typing import Any, Literal, NamedTuple

from vocable.errors import AudioError, CheckpointError, ConfigError, MissingDependencyError
from vocable.evaluate.card import Better, Column
from vocable.evaluate.judges.base import PitchTracker, SpeakerEncoder
from vocable.evaluate.judges.find import Kind, find_scorer
from vocable.evaluate.judges.quality import visqol, visqol_name
from vocable.evaluate.pairs import Pair
from vocable.evaluate.recognition import (
    count_against_recording,
    count_against_text,
    count_phones_against_recording,
    count_phones_against_text,
)
from vocable.metrics import pitch, quality, spectral, text
from vocable.metrics.score import Score, undefined

RATE = 16_000  # Hz, at which everything is scored


@dataclass(frozen=True, kw_only=True)
class Measure:
    """A metric with its scorer loaded.

    Attributes:
        column: Name, unit, direction and description.
        score: Function from a pair to its score.
        ceiling: Bound that the identity codec reaches (at least, or at most where lower is better); None if the metric
            does not compare with the recording.
        floor: Bound that noise at -5 dB SNR stays under (over, where lower is better); None if noise changes the metric
            little, as with pitch trackers.
    """

    column: Column
    score: Callable[[Pair], Score]
    ceiling: float | None = None
    floor: float | None = None

    def __call__(self, pair: Pair) -> Score:
        """Return the score of a pair; undefined if a scorer cannot score a clip."""
        try:
            return self.score(pair)
        except AudioError as error:
            return undefined(str(error))


@dataclass(frozen=True, kw_only=True)
class Scorers:
    """Choice of the scorers, each by its name, hub name or folder; None takes the default, which works offline."""

    pitch: str | None = None
    speaker: str | None = None
    recognizer: str | None = None


# ---- score functions: a pair and the scorer to a score --------------------------------------------------------------


def _samples(metric: Callable[..., Score], **settings: object) -> Callable[[Pair, Any], Score]:
    return lambda pair, _: metric(pair.reference.audio.samples, pair.decoded.audio.samples, **settings)


def _samples_at_rate(metric: Callable[..., Score], **settings: object) -> Callable[[Pair, Any], Score]:
    return _samples(metric, sample_rate=RATE, **settings)


def _contours(metric: Callable[..., Score]) -> Callable[[Pair, PitchTracker], Score]:
    """Return a score function that compares two F0 contours in Hz."""

    def score(pair: Pair, tracker: PitchTracker) -> Score:
        pitches = [clip.ask(tracker.name, tracker.track) for clip in (pair.reference, pair.decoded)]
        return metric(pitches[0].hz, pitches[1].hz)

    return score


def _speaker_similarity(pair: Pair, encoder: SpeakerEncoder) -> Score:
    embeddings = [clip.ask(encoder.name, encoder.embed) for clip in (pair.reference, pair.decoded)]
    return Score(float(embeddings[0] @ embeddings[1]))


def _opinion(scale: str) -> Callable[[Pair, Any], Score]:
    return lambda pair, predictor: Score(
        pair.decoded.ask(f"{predictor.name} {predictor.scales}", predictor.rate)[scale]
    )


# ---- the table ------------------------------------------------------------------------------------------------------


class Metric(NamedTuple):
    """Definition of one metric: name, score function, scorer, caption and number format.

    Attributes:
        name: Name on the command line, such as ``pesq_wb``.
        title: Name in tables.
        better: Direction: ``higher`` or ``lower``.
        score: Function from a pair and the scorer to a score.
        needs: Scorer, by its kind; or the package that computes the metric; empty if there is neither.
        caption: Description; ``{scorer}`` stands for the name of the scorer or package and its version.
        unit: Unit, or ``%`` for a share; empty for a pure number.
        form: Number format.
        ceiling: See :class:`Measure`.
        floor: See :class:`Measure`.
    """

    name: str
    title: str
    better: Better
    score: Callable[[Pair, Any], Score]
    needs: "Needs"
    caption: str
    unit: str = ""
    form: str = ".2f"
    ceiling: float | None = None
    floor: float | None = None


Needs = Literal[
    "", "pesq", "pystoi", "visqol", "pitch", "speaker", "recognizer", "phones", "dnsmos-p808", "dnsmos", "distillmos"
]  # fmt: skip


def _error_rates(name: str, count: Callable[..., text.ErrorCounts], units: str) -> Iterator[Metric]:
    yield Metric(
        name, name.upper(), "lower", count_against_text(count), "recognizer", unit="%", form=".1f",
        caption=f"{units} error rate of {{scorer}} against the text, all clips together, after Whisper's English "
        f"normalization ({text.NORMALIZER} for other languages). Compare it with that of the recording, in which the "
        "recognizer makes errors, too.",
    )  # fmt: skip
    yield Metric(
        f"d{name}", f"d{name.upper()}", "lower", count_against_recording(count), "recognizer", unit="%", form=".1f",
        ceiling=1e-6, floor=0.3,
        caption=f"{units} error rate of {{scorer}} against its transcript of the recording; needs no text.",
    )  # fmt: skip


def _dnsmos(scale: str, floor: float | None, needs: Needs = "dnsmos") -> Metric:
    return Metric(
        f"dnsmos_{scale}", f"DNSMOS {scale.upper()}", "higher", _opinion(scale), needs, floor=floor,
        caption="Opinion predicted by {scorer} without the recording, 1 to 5; it misses a low-pass at 2 kHz: never "
        "take it alone.",
    )  # fmt: skip


METRICS = (
    Metric("pesq_wb", "PESQ-WB", "higher", _samples_at_rate(quality.pesq, mode="wb"), "pesq", ceiling=4.6, floor=1.5,
           caption="Perceptual quality, ITU-T P.862.2, wide band at 16 kHz: 1.0 to 4.64; computed by {scorer}. It was "
           "fitted to telephone codecs: it punishes a shift in time, and does not tell whether the words are right."),
    Metric("pesq_nb", "PESQ-NB", "higher", _samples_at_rate(quality.pesq, mode="nb"), "pesq", ceiling=4.5, floor=2.2,
           caption="Perceptual quality, ITU-T P.862.1, narrow band at 8 kHz: 1.0 to 4.55; computed by {scorer}. It "
           "hears nothing above 3.4 kHz."),
    Metric("stoi", "STOI", "higher", _samples_at_rate(quality.stoi), "pystoi", form=".3f", ceiling=0.999, floor=0.85,
           caption="Short-time objective intelligibility, up to 1; computed by {scorer}. It follows the envelopes of "
           "bands up to 5 kHz: speech that was made anew in other timing scores low, however clear."),
    Metric("estoi", "ESTOI", "higher", _samples_at_rate(quality.stoi, extended=True), "pystoi", form=".3f",
           ceiling=0.999, floor=0.7,
           caption="Extended short-time objective intelligibility, up to 1; computed by {scorer}. It is meant for "
           "noise that comes and goes, and has the limits of STOI."),
    Metric("si_sdr", "SI-SDR", "higher", _samples(quality.si_sdr), "", unit="dB", ceiling=90.0, floor=0.0,
           caption="Scale-invariant signal-to-distortion ratio; a codec that draws its own phase scores low however "
           "well it sounds; capped at 100 dB."),
    Metric("log_spectral_distance", "LSD", "lower", _samples_at_rate(spectral.log_spectral_distance), "", unit="dB",
           ceiling=1e-3, floor=8.0,
           caption="Log-spectral distance: root mean square over frequency, mean over frames. Silence counts as much "
           "as speech."),
    Metric("log_mel_distance", "log-mel distance", "lower", _samples_at_rate(spectral.log_mel_distance), "", unit="dB",
           ceiling=1e-3, floor=8.0,
           caption="Mean absolute difference of 80 log-mel bands: how near the spectrum is, not how it sounds."),
    Metric("mcd", "MCD", "lower", _samples_at_rate(spectral.mel_cepstral_distance, align="none"), "", unit="dB",
           ceiling=1e-3, floor=4.0,
           caption="Mel-cepstral distortion, coefficients 1 to 13, frame by frame: the shape of the spectrum, neither "
           "its level nor the pitch."),
    Metric("mcd_dtw", "MCD-DTW", "lower", _samples_at_rate(spectral.mel_cepstral_distance, align="dtw"), "", unit="dB",
           ceiling=1e-3, floor=4.0,
           caption="Mel-cepstral distortion along the best time warping, for speech in other timing; the warping hides "
           "what is too long or too short."),
    Metric("f0_correlation", "F0 correlation", "higher", _contours(pitch.f0_correlation), "pitch", form=".3f",
           ceiling=0.999,
           caption="Pearson correlation of log F0 over the frames voiced in both; F0 by {scorer}. It tells melody, "
           "neither pitch height nor which frames are voiced: read it beside the voicing error."),
    Metric("f0_rmse", "F0 RMSE", "lower", _contours(pitch.f0_rmse), "pitch", unit="cents", form=".0f", ceiling=0.1,
           caption="Root mean square error of F0 over them; F0 by {scorer}. A few octave errors dominate it."),
    Metric("f0_mse", "F0 MSE", "lower", _contours(pitch.f0_mse), "pitch", unit="Hz²", form=".0f", ceiling=0.1,
           caption="Mean square error of F0 (MSEP) over the frames voiced in both; F0 by {scorer}. High voices weigh "
           "more than low ones."),
    Metric("gross_pitch_error", "gross pitch error", "lower", _contours(pitch.gross_pitch_error), "pitch", unit="%",
           form=".1f", ceiling=1e-4,
           caption="Share of the frames voiced in both whose F0 is off by more than 20 %; F0 by {scorer}. Smaller "
           "errors do not count."),
    Metric("voicing_error", "voicing error", "lower", _contours(pitch.voicing_error), "pitch", unit="%", form=".1f",
           ceiling=1e-4,
           caption="Share of frames that are voiced in one and unvoiced in the other; by {scorer}. It says nothing of "
           "their pitch."),
    Metric("speaker_similarity", "speaker similarity", "higher", _speaker_similarity, "speaker", form=".3f",
           ceiling=0.999, floor=0.85,
           caption="Cosine of the voice vectors of {scorer}: 1 is the same voice. Channel and noise move it, too; "
           "compare it with the identity."),
    *_error_rates("wer", text.wer, "Word"),
    *_error_rates("cer", text.cer, "Character"),
    Metric("per", "PER", "lower", count_phones_against_text, "phones", unit="%", form=".1f",
           caption="Phone error rate of {scorer} against the text, spelled out by the same package; 39 phones without "
           "stress, all clips together. Compare it with that of the recording."),
    Metric("dper", "dPER", "lower", count_phones_against_recording, "phones", unit="%", form=".1f", ceiling=1e-6,
           floor=0.3,
           caption="Phone error rate of {scorer} against its phones of the recording; needs no text."),
    _dnsmos("p808", 2.9, "dnsmos-p808"),
    _dnsmos("ovrl", 2.0),
    _dnsmos("sig", 3.0),
    _dnsmos("bak", None),
    Metric("distillmos", "DistillMOS", "higher", _opinion("distillmos"), "distillmos", floor=2.3,
           caption="Opinion predicted by {scorer} without the recording, 1 to 5: how natural and clean a voice sounds; "
           "it hears neither wrong words nor another speaker."),
    Metric("visqol", "ViSQOL", "higher", _samples_at_rate(visqol), "visqol", ceiling=3.8, floor=2.5,
           caption="Perceptual quality by spectrogram similarity, speech mode, 1 to 5; {scorer}. It was fitted to "
           "codecs that keep the waveform, and is hard on those that make it anew."),
)  # fmt: skip
NAMES = tuple(metric.name for metric in METRICS)
TOKEN_METRICS = ("stability", "modelability")  # of the tokens alone; see vocable.evaluate.token_metrics
ALL = "all"
DEFAULT = (
    "pesq_wb", "stoi", "log_mel_distance", "f0_correlation", "f0_rmse", "voicing_error", "speaker_similarity", "wer",
    "dwer",
)  # fmt: skip  # what a five-minute report can afford; the others are measured by name
_PACKAGES = ("pesq", "pystoi")  # compute a metric; the names of scorers, but not of packages, are part of the key


def find_measures(
    names: Sequence[str] | None, scorers: Scorers | None = None, device: str = "cpu"
) -> tuple[list[Measure], list[str]]:
    """Return metrics with their scorers loaded, and a line on each metric that is undefined on this machine.

    Args:
        names: Names such as ``pesq_wb`` or ``wer``, without the scorer's version; ``all`` takes every metric, and None
            those of ``DEFAULT``. Of these, metrics whose package or model is missing are undefined, with the reason.
            Those of ``TOKEN_METRICS`` have no measure.
        scorers: Choice of the scorers.
        device: Torch device of the scorers; see :func:`vocable.evaluate.judges.find.find_scorer`.

    Raises:
        ConfigError: If there is no such metric; the message lists those that exist.
        MissingDependencyError: If a named metric or scorer needs a package that is not installed.
        CheckpointError: If a named metric or scorer needs a model that is not available.
    """
    every = (*NAMES, *TOKEN_METRICS, ALL)
    unknown = [name for name in names or () if name not in every]
    if unknown:
        raise ConfigError(f"'{unknown[0]}' is no metric; there are {', '.join(every)}")
    is_choice = names is not None and ALL not in names  # of those, none is left out silently
    chosen = DEFAULT if names is None else NAMES if ALL in names else names
    selected = [metric for metric in METRICS if metric.name in chosen]
    measures: list[Measure] = []
    left_out: list[str] = []
    for needs, group in groupby(selected, key=lambda metric: metric.needs):
        metrics = list(group)
        try:
            scorer, name = _load_scorer(needs, scorers or Scorers(), device)
        except (MissingDependencyError, CheckpointError) as error:
            if is_choice or getattr(scorers, needs, None) is not None:
                raise
            left_out.append(f"{', '.join(metric.name for metric in metrics)}: {error}")
            measures += [_make_undefined(metric, needs, str(error)) for metric in metrics]
        else:
            measures += [_make_measure(metric, scorer, name) for metric in metrics]
    return measures, left_out


def find_token_metrics(names: Sequence[str] | None) -> tuple[str, ...]:
    """Return the metrics of the tokens alone that are among the names; ``all`` takes both.

    Example:
        >>> find_token_metrics(("wer", "stability")), find_token_metrics(("all",)), find_token_metrics(None)
        (('stability',), ('stability', 'modelability'), ())
    """
    return tuple(name for name in TOKEN_METRICS if names and (name in names or ALL in names))


def _make_measure(metric: Metric, scorer: Any, name: str) -> Measure:
    key = f"{metric.name}@{name}" if metric.needs and metric.needs not in _PACKAGES else metric.name
    column = Column(
        key=key, title=metric.title, unit=metric.unit, better=metric.better,
        caption=metric.caption.format(scorer=name), form=metric.form,
    )  # fmt: skip
    score = partial(_call_with_scorer, metric.score, scorer)
    return Measure(column=column, score=score, ceiling=metric.ceiling, floor=metric.floor)


def _make_undefined(metric: Metric, needs: str, reason: str) -> Measure:
    """Return a measure that is undefined for every clip; its key has no scorer, as there is none."""
    column = Column(
        key=metric.name, title=metric.title, unit=metric.unit, better=metric.better,
        caption=metric.caption.format(scorer=needs), form=metric.form,
    )  # fmt: skip
    return Measure(column=column, score=lambda _: undefined(reason))


def _call_with_scorer(score: Callable[[Pair, Any], Score], scorer: Any, pair: Pair) -> Score:
    return score(pair, scorer)


def _load_scorer(needs: Needs, scorers: Scorers, device: str) -> tuple[Any, str]:
    """Return a scorer and its name; for a package, its name and version alone."""
    if not needs:
        return None, ""
    if needs == "visqol":
        return None, visqol_name()
    if needs in _PACKAGES:
        try:
            return None, f"{needs} {version(needs)}"
        except PackageNotFoundError as error:
            raise MissingDependencyError(f"needs {needs}; run pip install 'vocable[evaluate]'") from error
    choices: dict[str, tuple[Kind, str | None]] = {
        "pitch": ("pitch", scorers.pitch), "speaker": ("speaker", scorers.speaker),
        "recognizer": ("recognizer", scorers.recognizer), "phones": ("phones", None),
    }  # fmt: skip
    kind, name = choices.get(needs, ("opinion", needs))
    scorer: Any = find_scorer(kind, name, device)
    return scorer, scorer.name
