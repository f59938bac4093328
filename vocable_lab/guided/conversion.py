"""Voice conversion against the target speaker's recording of the same sentence."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from vocable.audio import Audio
from vocable.data.manifest import Utterance
from vocable.errors import AudioError, ManifestError
from vocable.evaluate.card import Column
from vocable.evaluate.judges.base import PitchTracker
from vocable.evaluate.plan import as_scored
from vocable.metrics.pitch import f0_correlation
from vocable.metrics.score import Score, undefined
from vocable.metrics.spectral import dtw_path, mel_cepstra, mel_cepstral_distance

PARALLEL = (
    Column(key="vc_mcd", title="VC MCD", unit="dB", better="lower", caption="Mel-cepstral distortion along the best "
           "time warping between the converted sentence and the target speaker's own recording of it."),
    Column(key="vc_pitch_correlation", title="VC pitch correlation", better="higher", form=".3f", caption="Pearson "
           "correlation of log F0 over frames voiced in both, paired along the same path."),
)  # fmt: skip
UNCONVERTED = "unconverted"
_TARGETS_PER_SENTENCE = 2
_SENTENCE = "sentence_id"


@dataclass(frozen=True, kw_only=True)
class Conversion:
    """One sentence to convert.

    Attributes:
        source: Recording whose words are kept.
        voice: Another sentence of the target speaker.
        target: The target speaker's recording of the source's sentence.

    Raises:
        ManifestError: If source and target are not known to be the same sentence.

    Example:
        >>> first, second = (
        ...     Utterance(audio_path=f"{name}.flac", speaker=name, extra={"sentence_id": name}) for name in "ab"
        ... )
        >>> Conversion(source=first, voice=second, target=second)
        Traceback (most recent call last):
            ...
        vocable.errors.ManifestError: b.flac has sentence_id 'b', a.flac 'a': MCD compares recordings of one sentence; \
give a target with the source's 'sentence_id'
    """

    source: Utterance
    voice: Utterance
    target: Utterance

    def __post_init__(self) -> None:
        source, target = self.source.value(_SENTENCE), self.target.value(_SENTENCE)
        if source is None or source != target:
            raise ManifestError(
                f"{self.target.audio_path} has {_SENTENCE} {target!r}, {self.source.audio_path} {source!r}: MCD "
                f"compares recordings of one sentence; give a target with the source's '{_SENTENCE}'"
            )


def draw_conversions(
    sources: Mapping[str, Utterance], everything: Sequence[Utterance], seed: int
) -> dict[str, Conversion]:
    """Draw targets and voices for sentences: up to two other speakers who recorded them with the same emotion.

    Args:
        sources: Clips by key; those without ``sentence_id`` are skipped.
        everything: Recordings to draw targets and voices from.
        seed: Seed of the draw.

    Returns:
        Conversions by a description.
    """
    random = np.random.default_rng(seed)
    sentences = [clip for clip in everything if clip.speaker and clip.value(_SENTENCE)]
    drawn: dict[str, Conversion] = {}
    for key, source in sources.items():
        sentence, emotion = source.value(_SENTENCE), source.extra.get("emotion")
        targets = [
            clip for clip in sentences
            if clip.value(_SENTENCE) == sentence and clip.speaker != source.speaker
            and clip.extra.get("emotion") == emotion
        ]  # fmt: skip
        for index in random.permutation(len(targets))[:_TARGETS_PER_SENTENCE]:
            target = targets[index]
            voices = [
                clip for clip in sentences
                if clip.speaker == target.speaker and clip.value(_SENTENCE) != sentence
                and clip.extra.get("emotion") == emotion
            ]  # fmt: skip
            if voices:
                voice = voices[random.integers(len(voices))]
                name = f"convert {key} to {target.speaker} with {voice.audio_path.stem}, as {target.audio_path.stem}"
                drawn[name] = Conversion(source=source, voice=voice, target=target)
    return drawn


def score_conversion(tracker: PitchTracker, conversion: Conversion, converted: Audio) -> dict[str, Score]:
    """Score converted speech against the target's recording, by the keys of :data:`PARALLEL`.

    Where the pitch cannot be tracked, all of them are undefined: frames are compared at the tracker's hop.
    """
    target, speech = as_scored(Audio.read(conversion.target.audio_path)), as_scored(converted)
    rate = target.sample_rate
    try:
        target_pitch, pitch = (tracker.track(clip) for clip in (target, speech))
    except AudioError as error:
        return dict.fromkeys((column.key for column in PARALLEL), undefined(str(error)))
    cepstra = [mel_cepstra(clip.samples, rate, target_pitch.hop) for clip in (target, speech)]
    if min(len(frames) for frames in cepstra) == 0:
        return dict.fromkeys((column.key for column in PARALLEL), undefined("the clip is too short"))
    path = dtw_path(*cepstra)
    has_pitch = (path[:, 0] < target_pitch.hz.size) & (path[:, 1] < pitch.hz.size)
    return {
        "vc_mcd": mel_cepstral_distance(target.samples, speech.samples, rate, align="dtw"),
        "vc_pitch_correlation": f0_correlation(target_pitch.hz, pitch.hz, path[has_pitch]),
    }
