"""The metrics by name: what each compares, which judge it asks, and where the anchors must land on it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from typing import TypeVar

from vocable.audio import Audio
from vocable.errors import AudioError, ConfigError, MissingDependencyError
from vocable.evaluate.card import Better, Column
from vocable.evaluate.judges.base import Pitch
from vocable.evaluate.judges.find import find_judge
from vocable.evaluate.judges.visqol import visqol, visqol_name
from vocable.metrics import pitch as f0
from vocable.metrics import quality, spectral, text
from vocable.metrics.score import Score, undefined

_SPARED = "not among the clips that the recogniser hears (--recognise)"
_NOISY = {"ovrl": 2.0, "sig": 3.0, "p808": 2.9}  # DNSMOS of noise stays under
RATE = 16_000  # Hz, at which everything is scored
T = TypeVar("T")


@dataclass
class Heard:
    """A clip as it is scored, and what the judges heard in it: each is asked once."""

    audio: Audio
    _said: dict[str, object] = field(default_factory=dict)

    def ask(self, question: str, answer: Callable[[Audio], T]) -> T:
        """What this judge says of the clip.

        Raises:
            AudioError: It cannot judge the clip.
        """
        if question not in self._said:
            try:
                self._said[question] = answer(self.audio)
            except AudioError as error:
                self._said[question] = error
        said = self._said[question]
        if isinstance(said, AudioError):
            raise said
        return said  # type: ignore[return-value]


@dataclass(frozen=True, kw_only=True)
class Pair:
    """What is compared: the recording, the speech made again, both at 16 kHz, and the text if it is known.

    Attributes:
        reference: The recording.
        made: The speech made again.
        text: What is said.
        recognised: Whether the recogniser, who takes longer than all the others, shall hear this clip.
    """

    reference: Heard
    made: Heard
    text: str | None = None
    recognised: bool = True


@dataclass(frozen=True, kw_only=True)
class Measure:
    """A metric, and where the anchors land if it works.

    Attributes:
        column: Its name and description.
        score: A pair's score.
        ceiling: What the identity codec reaches at least (at most, where lower is better); None: it has no ceiling,
            as it is no comparison with the recording.
        floor: What noise at -5 dB SNR stays under (over, where lower is better); None: noise does little to it, as
            pitch trackers hear through noise.
    """

    column: Column
    score: Callable[[Pair], Score]
    ceiling: float | None = None
    floor: float | None = None

    def __call__(self, pair: Pair) -> Score:
        """The score, undefined where a judge cannot judge."""
        try:
            return self.score(pair)
        except AudioError as error:
            return undefined(str(error))


@dataclass(frozen=True, kw_only=True)
class Judges:
    """Which model listens in each place, by name, hub name or folder; None takes the offline one."""

    pitch: str | None = None
    speaker: str | None = None
    recogniser: str | None = None


def find_measures(names: Sequence[str] | None, judges: Judges | None = None) -> tuple[list[Measure], list[str]]:
    """Measures by name, and a line on each that this machine lacks.

    Args:
        names: Such as ``pesq_wb`` or ``wer``, without the judge's version; None takes those of ``DEFAULT`` whose
            packages are installed.
        judges: Who listens.

    Raises:
        ConfigError: There is no such metric; the message lists those that exist.
        MissingDependencyError: A metric that was named needs a package that is not installed.
    """
    wrong = [name for name in names or () if name not in NAMES]
    if wrong:
        raise ConfigError(f"'{wrong[0]}' is no metric; there are {', '.join(NAMES)}")
    found, missing = [], []
    for members, make in _GROUPS.items():
        wanted = [name for name in members if name in (DEFAULT if names is None else names)]
        if not wanted:
            continue
        try:
            made = make(judges or Judges())
        except MissingDependencyError as error:
            if names is not None:
                raise
            missing.append(f"{', '.join(wanted)}: {error}")
        else:
            found += [measure for measure in made if measure.column.key.split("@")[0] in wanted]
    return found, missing


def _measure(
    key: str, title: str, better: Better, score: Callable[[Pair], Score], caption: str, *,
    unit: str = "", form: str = ".2f", ceiling: float | None = None, floor: float | None = None,
) -> Measure:  # fmt: skip
    column = Column(key=key, title=title, unit=unit, better=better, caption=caption, form=form)
    return Measure(column=column, score=score, ceiling=ceiling, floor=floor)


def _on_samples(metric: Callable[..., Score], pair: Pair) -> Score:
    return metric(pair.reference.audio.samples, pair.made.audio.samples)


def _at_rate(metric: Callable[..., Score], **settings: object) -> Callable[[Pair], Score]:
    return partial(_on_samples, partial(metric, sample_rate=RATE, **settings))


# ---- comparisons of samples -----------------------------------------------------------------------------------------


def _pesq(_: Judges) -> list[Measure]:
    by = _by("pesq")
    return [
        _measure("pesq_wb", "PESQ-WB", "higher", _at_rate(quality.pesq, mode="wb"), ceiling=4.6, floor=1.5,
                 caption=f"Perceptual quality, ITU-T P.862.2, wide band at 16 kHz: 1.0 to 4.64; {by}."),
        _measure("pesq_nb", "PESQ-NB", "higher", _at_rate(quality.pesq, mode="nb"), ceiling=4.5, floor=2.2,
                 caption=f"Perceptual quality, ITU-T P.862.1, narrow band at 8 kHz: 1.0 to 4.55; {by}."),
    ]  # fmt: skip


def _stoi(_: Judges) -> list[Measure]:
    by = _by("pystoi")
    return [
        _measure("stoi", "STOI", "higher", _at_rate(quality.stoi), form=".3f", ceiling=0.999, floor=0.85,
                 caption=f"Short-time objective intelligibility, up to 1; {by}."),
        _measure("estoi", "ESTOI", "higher", _at_rate(quality.stoi, extended=True), form=".3f",
                 ceiling=0.999, floor=0.7, caption=f"Extended short-time objective intelligibility, up to 1; {by}."),
    ]  # fmt: skip


def _signal(_: Judges) -> list[Measure]:
    return [
        _measure("si_sdr", "SI-SDR", "higher", partial(_on_samples, quality.si_sdr), unit="dB", ceiling=90.0, floor=0.0,
                 caption="Scale-invariant signal-to-distortion ratio; a codec that draws its own phase scores low "
                 "however well it sounds; capped at 100 dB."),
        _measure("log_spectral_distance", "LSD", "lower", _at_rate(spectral.log_spectral_distance), unit="dB",
                 ceiling=1e-3, floor=8.0, caption="Log-spectral distance: root mean square over frequency, mean over "
                 "frames."),
        _measure("log_mel_distance", "log-mel distance", "lower", _at_rate(spectral.log_mel_distance), unit="dB",
                 ceiling=1e-3, floor=8.0, caption="Mean absolute difference of 80 log-mel bands."),
    ]  # fmt: skip


def _mcd(_: Judges) -> list[Measure]:
    return [
        _measure("mcd", "MCD", "lower", _at_rate(spectral.mel_cepstral_distance, align="none"), unit="dB",
                 ceiling=1e-3, floor=4.0, caption="Mel-cepstral distortion, coefficients 1 to 13, frame by frame."),
        _measure("mcd_dtw", "MCD-DTW", "lower", _at_rate(spectral.mel_cepstral_distance, align="dtw"), unit="dB",
                 ceiling=1e-3, floor=4.0, caption="Mel-cepstral distortion along the best time warping."),
    ]  # fmt: skip


def _visqol(_: Judges) -> list[Measure]:
    return [
        _measure(f"visqol@{visqol_name()}", "ViSQOL", "higher", _at_rate(visqol), ceiling=3.8, floor=2.5,
                 caption=f"Perceptual quality by spectrogram similarity, speech mode, 1 to 5; {visqol_name()}."),
    ]  # fmt: skip


# ---- what judges hear -----------------------------------------------------------------------------------------------


def _voice(judges: Judges) -> list[Measure]:
    judge = find_judge("speaker", judges.speaker)

    def similarity(pair: Pair) -> Score:
        voices = [heard.ask(judge.name, judge.embed) for heard in (pair.reference, pair.made)]
        return Score(float(voices[0] @ voices[1]))

    return [
        _measure(f"speaker_similarity@{judge.name}", "speaker similarity", "higher", similarity, form=".3f",
                 ceiling=0.999, floor=0.85, caption=f"Cosine of the voice vectors of {judge.name}."),
    ]  # fmt: skip


def _pitch(judges: Judges) -> list[Measure]:
    judge = find_judge("pitch", judges.pitch)

    def tracks(pair: Pair) -> tuple[Pitch, Pitch]:
        here, there = (heard.ask(judge.name, judge.track) for heard in (pair.reference, pair.made))
        return here, there

    def compare(metric: Callable[..., Score], pair: Pair) -> Score:
        here, there = tracks(pair)
        return metric(here.hz, there.hz)

    return [
        _measure(f"f0_correlation@{judge.name}", "F0 correlation", "higher", partial(compare, f0.f0_correlation),
                 form=".3f", ceiling=0.999, caption="Pearson correlation of log F0 over the frames voiced "
                 f"in both; F0 by {judge.name}."),
        _measure(f"f0_rmse@{judge.name}", "F0 RMSE", "lower", partial(compare, f0.f0_rmse), unit="cents", form=".0f",
                 ceiling=0.1, caption=f"Root mean square error of F0 over them; F0 by {judge.name}."),
        _measure(f"voicing_error@{judge.name}", "voicing error", "lower", partial(compare, f0.voicing_error), unit="%",
                 form=".1f", ceiling=1e-4, caption="Share of frames that are voiced in one and unvoiced in "
                 f"the other; by {judge.name}."),
    ]  # fmt: skip


def _words(judges: Judges) -> list[Measure]:
    judge = find_judge("recogniser", judges.recogniser)

    def against_text(rate: Callable[..., text.ErrorCounts], pair: Pair) -> Score:
        if not pair.recognised:
            return undefined(_SPARED)
        if pair.text is None:
            return undefined("the manifest has no text")
        return rate(pair.text, pair.made.ask(judge.name, judge.transcribe)).score()

    def against_recording(rate: Callable[..., text.ErrorCounts], pair: Pair) -> Score:
        if not pair.recognised:
            return undefined(_SPARED)
        heard, again = (part.ask(judge.name, judge.transcribe) for part in (pair.reference, pair.made))
        return rate(heard, again).score()

    found = []
    for name, rate, what in (("wer", text.wer, "Word"), ("cer", text.cer, "Character")):
        found += [
            _measure(f"{name}@{judge.name}", name.upper(), "lower", partial(against_text, rate), unit="%", form=".1f",
                     caption=f"{what} error rate of {judge.name} against the text, all clips together; compare it "
                     f"with the recording's own, which the recogniser does not get right either; {text.NORMALISER}."),
            _measure(f"d{name}@{judge.name}", f"d{name.upper()}", "lower", partial(against_recording, rate), unit="%",
                     form=".1f", ceiling=1e-6, floor=0.3, caption=f"{what} error rate of {judge.name} against what it "
                     "heard in the recording; needs no text."),
        ]  # fmt: skip
    return found


def _opinion(name: str, _: Judges) -> list[Measure]:
    judge = find_judge("opinion", name)

    def rate(scale: str, pair: Pair) -> Score:
        return Score(pair.made.ask(f"{judge.name} {name}", judge.rate)[scale])

    return [
        _measure(f"dnsmos_{scale}@{judge.name}", f"DNSMOS {scale.upper()}", "higher", partial(rate, scale),
                 floor=_NOISY.get(scale), caption=f"Opinion predicted by {judge.name} without the recording, 1 to 5; "
                 "it misses a low-pass at 2 kHz: never take it alone.")
        for scale in judge.scales
    ]  # fmt: skip


def _by(package: str) -> str:
    """Who computes it, for a caption.

    Raises:
        MissingDependencyError: The package is not installed.
    """
    try:
        return f"computed by {package} {version(package)}"
    except PackageNotFoundError as error:
        raise MissingDependencyError(f"needs {package}; run pip install 'vocable[evaluate]'") from error


_GROUPS: dict[tuple[str, ...], Callable[[Judges], list[Measure]]] = {
    ("pesq_wb", "pesq_nb"): _pesq,
    ("stoi", "estoi"): _stoi,
    ("si_sdr", "log_spectral_distance", "log_mel_distance"): _signal,
    ("mcd", "mcd_dtw"): _mcd,
    ("f0_correlation", "f0_rmse", "voicing_error"): _pitch,
    ("speaker_similarity",): _voice,
    ("wer", "cer", "dwer", "dcer"): _words,
    ("dnsmos_p808",): partial(_opinion, "dnsmos-p808"),
    ("dnsmos_ovrl", "dnsmos_sig", "dnsmos_bak"): partial(_opinion, "dnsmos"),
    ("visqol",): _visqol,
}
NAMES = tuple(name for members in _GROUPS for name in members)
SLOW = ("dnsmos_ovrl", "dnsmos_sig", "dnsmos_bak", "visqol")  # seconds a clip: longer than all the others together
DEFAULT = tuple(name for name in NAMES if name not in SLOW)
