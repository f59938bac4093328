"""Sentences of one speaker said in the voice of another, held against that speaker's own recording of the sentence."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from vocable.audio import Audio
from vocable.data.manifest import Utterance
from vocable.errors import ManifestError
from vocable.evaluate.card import Column
from vocable.evaluate.judges.base import PitchTracker
from vocable.evaluate.plan import as_filed
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
_VOICES = 2  # that each sentence is converted to
_SENTENCE = "sentence_id"


@dataclass(frozen=True, kw_only=True)
class Conversion:
    """A sentence to convert: whose words, whose voice (another sentence), and what it should become.

    Raises:
        ManifestError: The target says another sentence than the source, or nobody knows: they cannot be compared.

    Example:
        >>> one, other = (
        ...     Utterance(audio_path=f"{name}.flac", speaker=name, extra={"sentence_id": name}) for name in "ab"
        ... )
        >>> Conversion(source=one, voice=other, target=other)
        Traceback (most recent call last):
            ...
        vocable.errors.ManifestError: b.flac says sentence 'b', a.flac 'a': MCD compares recordings of one sentence; \
give a target with the source's 'sentence_id'
    """

    source: Utterance
    voice: Utterance
    target: Utterance

    def __post_init__(self) -> None:
        wanted, said = self.source.value(_SENTENCE), self.target.value(_SENTENCE)
        if wanted is None or wanted != said:
            raise ManifestError(
                f"{self.target.audio_path} says sentence {said!r}, {self.source.audio_path} {wanted!r}: MCD compares "
                f"recordings of one sentence; give a target with the source's '{_SENTENCE}'"
            )


def conversions(sources: Mapping[str, Utterance], everything: Sequence[Utterance], seed: int) -> dict[str, Conversion]:
    """Sentences, each to be said by other speakers who said it too in the same mood, and another sentence besides.

    Args:
        sources: Clips by key; those without ``sentence_id`` are passed over.
        everything: Recordings to draw targets and voices from.
        seed: Of the draw.

    Returns:
        By what is done, in words.
    """
    random = np.random.default_rng(seed)
    said = [clip for clip in everything if clip.speaker and clip.value(_SENTENCE)]
    found: dict[str, Conversion] = {}
    for key, source in sources.items():
        sentence = source.value(_SENTENCE)
        targets = [one for one in said if one.value(_SENTENCE) == sentence and one.speaker != source.speaker]
        alike = [one for one in targets if one.extra.get("emotion") == source.extra.get("emotion")]
        for at in random.permutation(len(alike))[:_VOICES]:
            target = alike[at]
            voices = [
                one for one in said if one.speaker == target.speaker and one.value(_SENTENCE) != sentence
                and one.extra.get("emotion") == source.extra.get("emotion")
            ]  # fmt: skip
            if voices:
                voice = voices[random.integers(len(voices))]
                name = f"convert {key} to {target.speaker} with {voice.audio_path.stem}, as {target.audio_path.stem}"
                found[name] = Conversion(source=source, voice=voice, target=target)
    return found


def compared(tracker: PitchTracker, asked: Conversion, made: Audio) -> dict[str, Score]:
    """A converted sentence beside the target speaker's own recording of it, by the keys of :data:`PARALLEL`."""
    wanted, got = as_filed(Audio.read(asked.target.audio_path)), as_filed(made)
    rate = wanted.sample_rate
    pitches = [tracker.track(clip) for clip in (wanted, got)]
    cepstra = [mel_cepstra(clip.samples, rate, pitches[0].hop) for clip in (wanted, got)]
    if min(len(part) for part in cepstra) == 0:
        return dict.fromkeys((column.key for column in PARALLEL), undefined("the clip is too short"))
    path = dtw_path(*cepstra)
    inside = (path[:, 0] < pitches[0].hz.size) & (path[:, 1] < pitches[1].hz.size)
    return {
        "vc_mcd": mel_cepstral_distance(wanted.samples, got.samples, rate, align="dtw"),
        "vc_pitch_correlation": f0_correlation(pitches[0].hz, pitches[1].hz, path[inside]),
    }
