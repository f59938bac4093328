"""Voice conversion in evaluations: pairs of source and target, and the similarity of the result to both."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from vocable.audio import Audio
from vocable.data.manifest import Utterance
from vocable.errors import AudioError
from vocable.evaluate.card import Column
from vocable.evaluate.judges.base import SpeakerEncoder
from vocable.evaluate.plan import as_scored, derive_seed
from vocable.metrics.score import Score, undefined

COLUMNS = (
    Column(key="vc_target_closer_share", title="target closer than source", unit="%", better="higher", form=".1f",
           caption="Share of pairs in which the converted speech is nearer to another recording of the target speaker "
           "than to the source recording itself, whose words it says: cosine of the judge's voice vectors."),
    Column(key="vc_target_similarity", title="similarity to target", better="higher", form=".3f",
           caption="Cosine to another recording of the target speaker."),
    Column(key="vc_source_similarity", title="similarity to source", better="lower", form=".3f",
           caption="Cosine to the source recording."),
)  # fmt: skip
_KEYS = tuple(column.key for column in COLUMNS)
_MIN_SECONDS = 1.0  # of a recording that lends its voice


@dataclass(frozen=True, kw_only=True)
class TargetVoice:
    """Recordings of the speaker that a clip is converted to.

    Attributes:
        voice: Recording that lends its voice.
        reference: Another recording of that speaker, to compare with; the same one if there is no other.
    """

    voice: Utterance
    reference: Utterance


def draw_targets(
    sources: Mapping[str, Utterance], candidates: Sequence[Utterance], seed: int
) -> dict[str, TargetVoice]:  # fmt: skip
    """Draw a target voice for each clip: of another gender in half of the clips, where genders are known.

    Speakers with two recordings are preferred, so that the reference is not the recording that lends its voice.

    Args:
        sources: Clips by key; those without a speaker get no target.
        candidates: Recordings to draw from.
        seed: Seed, together with the clip's key; other clips do not change a clip's target.

    Example:
        >>> def clip(name: str) -> Utterance:
        ...     return Utterance(audio_path=f"{name}.flac", speaker=name[0])
        >>> target = draw_targets({"a1": clip("a1")}, [clip("a1"), clip("b1"), clip("b2")], 0)["a1"]
        >>> sorted([target.voice.audio_path.name, target.reference.audio_path.name])
        ['b1.flac', 'b2.flac']
    """
    by_speaker: dict[str, list[Utterance]] = {}
    for clip in candidates:
        if clip.speaker and (clip.duration is None or clip.duration >= _MIN_SECONDS):
            by_speaker.setdefault(clip.speaker, []).append(clip)
    if any(len(clips) > 1 for clips in by_speaker.values()):
        by_speaker = {name: clips for name, clips in by_speaker.items() if len(clips) > 1}
    targets = {}
    for key, source in sources.items():
        random = np.random.default_rng(derive_seed(seed, key))
        others = [name for name in by_speaker if name != source.speaker] if source.speaker else []
        other_gender = random.random() < 0.5
        gender = source.value("gender")
        preferred = [name for name in others if (by_speaker[name][0].value("gender") != gender) == other_gender]
        speakers = (preferred if gender else []) or others
        if speakers:
            clips = by_speaker[speakers[random.integers(len(speakers))]]
            order = random.permutation(len(clips))
            targets[key] = TargetVoice(voice=clips[order[0]], reference=clips[order[-1]])
    return targets


def score_similarity(
    encoder: SpeakerEncoder, source: Audio, reference: Audio, versions: Mapping[str, Audio]
) -> dict[str, dict[str, Score]]:
    """Score the similarity of each version of a clip to the target speaker and to the source.

    Args:
        encoder: Speaker encoder of the evaluation.
        source: Clip that was converted.
        reference: Recording of the target speaker.
        versions: Versions of the clip by name, such as its conversion.

    Returns:
        Scores by column for each version; undefined where the encoder cannot use one of the recordings.
    """
    scores = {}
    for name, audio in versions.items():
        try:
            voice, target_voice, source_voice = (encoder.embed(as_scored(one)) for one in (audio, reference, source))
        except AudioError as error:
            scores[name] = dict.fromkeys(_KEYS, undefined(str(error)))
            continue
        target, own = float(voice @ target_voice), float(voice @ source_voice)
        scores[name] = dict(zip(_KEYS, (Score(float(target > own)), Score(target), Score(own)), strict=True))
    return scores
