"""Whose voice a clip is said in, and whose voice is heard in it then."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from vocable.audio import Audio
from vocable.data.manifest import Utterance
from vocable.errors import AudioError
from vocable.evaluate.card import Column
from vocable.evaluate.judges.base import SpeakerEncoder
from vocable.evaluate.plan import as_filed, seeded
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
_LONG = 1.0  # seconds that a voice is heard for at least


@dataclass(frozen=True, kw_only=True)
class Pairing:
    """Whose voice a clip is said in.

    Attributes:
        voice: A recording of another speaker.
        other: Another recording of that speaker, to compare with; the same where there is no other.
    """

    voice: Utterance
    other: Utterance


def pairings(sources: Mapping[str, Utterance], everything: Sequence[Utterance], seed: int) -> dict[str, Pairing]:
    """A voice for each clip, by its key: of a speaker of the other gender as often as not, where genders are known.

    Speakers with two recordings go first, so that what is compared is not what lent its voice.

    Args:
        sources: Clips by key; those without a speaker get none.
        everything: Recordings to draw from.
        seed: With the clip's key decides, whatever other clips there are.

    Example:
        >>> def clip(name: str) -> Utterance:
        ...     return Utterance(audio_path=f"{name}.flac", speaker=name[0])
        >>> pair = pairings({"a1": clip("a1")}, [clip("a1"), clip("b1"), clip("b2")], 0)["a1"]
        >>> sorted([pair.voice.audio_path.name, pair.other.audio_path.name])
        ['b1.flac', 'b2.flac']
    """
    by_speaker: dict[str, list[Utterance]] = {}
    for one in everything:
        if one.speaker and (one.duration is None or one.duration >= _LONG):
            by_speaker.setdefault(one.speaker, []).append(one)
    if any(len(clips) > 1 for clips in by_speaker.values()):
        by_speaker = {name: clips for name, clips in by_speaker.items() if len(clips) > 1}
    found = {}
    for key, source in sources.items():
        random = np.random.default_rng(seeded(seed, key))
        others = [name for name in by_speaker if name != source.speaker] if source.speaker else []
        apart = random.random() < 0.5
        gender = source.value("gender")
        wanted = [name for name in others if (by_speaker[name][0].value("gender") != gender) == apart]
        chosen = (wanted if gender else []) or others
        if chosen:
            clips = by_speaker[chosen[random.integers(len(chosen))]]
            order = random.permutation(len(clips))
            found[key] = Pairing(voice=clips[order[0]], other=clips[order[-1]])
    return found


def likeness(
    judge: SpeakerEncoder, source: Audio, other: Audio, made: Mapping[str, Audio]
) -> dict[str, dict[str, Score]]:
    """Whose voice the judge hears, by what was made.

    Args:
        judge: It.
        source: The clip that was to be said in another voice.
        other: A recording of the speaker it was to be said by.
        made: What became of it, by name.

    Returns:
        Scores as the columns are called; undefined where the judge cannot hear one of them.
    """
    found = {}
    for name, audio in made.items():
        try:
            voice, target_voice, own_voice = (judge.embed(as_filed(one)) for one in (audio, other, source))
        except AudioError as error:
            found[name] = dict.fromkeys(_KEYS, undefined(str(error)))
            continue
        target, own = float(voice @ target_voice), float(voice @ own_voice)
        scores = (Score(float(target > own)), Score(target), Score(own))
        found[name] = dict(zip(_KEYS, scores, strict=True))
    return found
