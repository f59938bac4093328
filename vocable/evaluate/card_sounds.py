"""The clips of a report card: players, spectrograms side by side, the worst and the best of each tokenizer."""

import hashlib
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from vocable.audio import Audio
from vocable.evaluate.card import Card, Entry, Sample
from vocable.evaluate.card_text import main_entry
from vocable.evaluate.page import data_uri, escaped, flac, legend, loudest, spectrogram

_SECONDS = 600.0  # of sound on a page: about 15 MB
_SHORTEST = 3.0  # seconds that are heard of a clip at least
_COLUMNS = 640  # of a spectrogram
_LISTS = ("worst ", "best ")  # how ``Sample.why`` begins for clips that stand in a list


@dataclass
class Players:
    """Players of sounds, each sound once in the page.

    Attributes:
        longest: Seconds that are heard of a clip.
    """

    longest: float
    _places: dict[str, str] = field(default_factory=dict)

    def cut(self, audio: Audio) -> Audio:
        """What is heard of it."""
        if audio.duration <= self.longest:
            return audio
        return Audio(audio.samples[: int(self.longest * audio.sample_rate)], audio.sample_rate)

    def player(self, audio: Audio, title: str) -> str:
        """A player; of a sound that the page has already, one that borrows it (without scripts a link leads there)."""
        content = flac(self.cut(audio))
        digest = hashlib.sha256(content).hexdigest()
        label = f"aria-label='{escaped(title)}'"
        if digest in self._places:
            place = self._places[digest]
            return (
                f"<span class=again><a href='#{place}'>this sound stands further up</a>"
                f"<audio controls preload=none hidden data-same={place} {label}></audio></span>"
            )
        place = self._places[digest] = f"sound-{len(self._places) + 1}"
        return f"<audio controls preload=none id={place} {label} src='{data_uri('audio/flac', content)}'></audio>"


def longest_heard(durations: Iterable[float], budget: float) -> float:
    """So many seconds of each clip that all together stay within the budget; infinite if they are whole.

    Example:
        >>> longest_heard([4.0, 30.0, 40.0], budget=40.0)
        18.0
    """
    rest, left = budget, sorted(durations)
    while left and left[0] <= rest / len(left):
        rest -= left.pop(0)
    return max(float(math.floor(rest / len(left))), _SHORTEST) if left else math.inf


def samples_sections(card: Card) -> tuple[str, str]:
    """The clips to compare, and the lists of the worst and the best."""
    sounds = [
        sound for sample in card.samples for sound in (sample.recording, *(made for made, _ in sample.made.values()))
    ]
    distinct = {sound.samples.tobytes(): sound.duration for sound in sounds}
    players = Players(longest_heard(distinct.values(), _SECONDS))
    lists: dict[str, list[Sample]] = {}
    compared = []
    for sample in card.samples:
        if sample.why.startswith(_LISTS):
            lists.setdefault(sample.why, []).append(sample)
        else:
            compared.append(sample)
    cut = f"<p class=small>Clips are heard for {players.longest:g} s at most; figures are of the whole clips.</p>"
    cut = "" if math.isinf(players.longest) else cut
    shown = "".join(_comparison(sample, card, players) for sample in compared)
    listed = "".join(
        f"<details{'' if place else ' open'}><summary>{escaped(why[:1].upper() + why[1:])}</summary><ol class=clips>"
        f"{''.join(_item(sample, players) for sample in some)}</ol></details>"
        for place, (why, some) in enumerate(lists.items())
    )
    return cut + shown + legend("each recording") if shown else "", cut + listed if listed else ""


def _comparison(sample: Sample, card: Card, players: Players) -> str:
    """Recording, tokenizer and the codec nearest in rate with spectrograms; the others to listen to."""
    main = _three(sample, card)
    top = loudest(players.cut(sample.recording))
    figures = [_seen("Recording", "", sample.recording, top, players)]
    figures += [_seen(name, sample.made[name][1], sample.made[name][0], top, players) for name in main]
    others = "".join(
        _heard(name, line, audio, players) for name, (audio, line) in sample.made.items() if name not in main
    )
    others = f"<div class=others>{others}</div>" if others else ""
    return (
        f"<article class=sample><h3>{escaped(sample.why)}</h3><p class=facts-line>{_facts(sample)}</p>"
        f"<div class='cards three'>{''.join(figures)}</div>{others}</article>"
    )


def _three(sample: Sample, card: Card) -> list[str]:
    """Names of what is shown beside the recording."""
    by_name = {entry.name: entry for entry in card.entries if entry.name in sample.made}
    own = main_entry(card)
    if own is None or own.name not in by_name:
        return list(sample.made)[:2]
    codecs = [entry for entry in by_name.values() if entry.kind == "codec"]
    rest = codecs or [entry for entry in by_name.values() if entry is not own]
    return [own.name, *(entry.name for entry in sorted(rest, key=lambda entry: _apart(entry, own))[:1])]


def _apart(entry: Entry, other: Entry) -> float:
    """How far two bit rates are from one another."""
    known = [rate for rate in (entry.bit_rate, other.bit_rate) if rate > 0]
    return abs(math.log(known[0] / known[1])) if len(known) == 2 else math.inf


def _seen(name: str, line: str, audio: Audio, top: float, players: Players) -> str:
    return (
        f"<figure class=card><figcaption><b>{escaped(name)}</b> <span>{escaped(line)}</span></figcaption>"
        f"{spectrogram(players.cut(audio), name, top, _COLUMNS)}{players.player(audio, name)}</figure>"
    )


def _heard(name: str, line: str, audio: Audio, players: Players) -> str:
    player = players.player(audio, name)
    return f"<div class=heard><p><b>{escaped(name)}</b> <span>{escaped(line)}</span></p>{player}</div>"


def _item(sample: Sample, players: Players) -> str:
    made = "".join(_heard(name, line, audio, players) for name, (audio, line) in sample.made.items())
    return (
        f"<li><div class=clip><p class=facts-line>{_facts(sample)}</p><div class=others>"
        f"{_heard('Recording', '', sample.recording, players)}{made}</div></div></li>"
    )


def _facts(sample: Sample) -> str:
    parts: Sequence[str] = [
        f"{escaped(name)} <b>{escaped(value)}</b>" for name, value in sample.facts.items() if name != "text"
    ]
    said = f" <q>{escaped(sample.facts['text'])}</q>" if "text" in sample.facts else ""
    return " · ".join([f"<code>{escaped(sample.utterance)}</code>", *parts]) + said
