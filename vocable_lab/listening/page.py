"""Page of a listening test: the sounds, the questions, and the script that plays, asks and writes the ratings file."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from vocable.audio import Audio
from vocable.evaluate.page import data_uri, encode_flac, render_template
from vocable_lab.listening.key import REFERENCE, Key

_FIND_REFERENCE = "At least one of them is the reference itself: rate that one 100."
_ON_PROSODY = "Listen for melody, rhythm, stress and pauses. Ignore the voice and the sound quality."
_ON_SPEAKER = "Listen for the identity of the speaker. Ignore the way of speaking and the sound quality."
QUESTIONS: Mapping[str, Mapping[str, tuple[str, str]]] = {
    "mushra": {
        "quality": (
            "How good does each sound, compared with the reference?",
            f"Listen for noise, distortion, and muffled or unnatural sound. {_FIND_REFERENCE}",
        ),
        "prosody": (
            "How close is the way of speaking of each to the reference?",
            f"{_ON_PROSODY} {_FIND_REFERENCE}",
        ),
        "speaker": (
            "How close is the voice of each to the person in the reference?",
            f"{_ON_SPEAKER} {_FIND_REFERENCE}",
        ),
    },
    "mos": {
        "quality": (
            "How good is the quality of this speech?",
            "Rate the sound as a whole: noise, distortion, and how natural it is.",
        ),
        "prosody": ("How well does the way of speaking match the reference?", _ON_PROSODY),
        "speaker": ("How well does the voice match the person in the reference?", _ON_SPEAKER),
    },
}


def render_test(key: Key, sounds: Mapping[tuple[str, str], Audio]) -> str:
    """Render the page as HTML; it names no clip and no system.

    Args:
        key: Codes of the test.
        sounds: Sounds by clip and system.
    """
    names: dict[tuple[str, str], str] = {}  # a sound is named by its first code, so that the page holds it once
    references: dict[str, str] = {}
    screens: dict[str, dict[str, Any]] = {}
    named: dict[str, Audio] = {}
    for code, stimulus in key.stimuli.items():
        place = stimulus.clip, stimulus.system
        name = names.setdefault(place, code)
        named[name] = sounds[place]
        reference = None
        if key.kind == "mushra" or stimulus.scale != "quality":
            reference = references.setdefault(stimulus.clip, f"r{code}")
            named[reference] = sounds[stimulus.clip, REFERENCE]
        screen = screens.setdefault(
            stimulus.trial, {"trial": stimulus.trial, "scale": stimulus.scale, "reference": reference, "stimuli": []}
        )
        screen["stimuli"].append({"code": code, "sound": name})
    content = {
        "test": key.test,
        "kind": key.kind,
        "scales": key.scales,
        "questions": {scale: QUESTIONS[key.kind][scale] for scale in key.scales},
        "screens": [screens[trial] for trial in sorted(screens)],
        "sounds": {name: data_uri("audio/flac", encode_flac(named[name])) for name in sorted(named)},
    }
    return render_template("listening.html.j2", Path(__file__).parent, content=content)
