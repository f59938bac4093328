"""Ten sentences that no corpus at hand contains, synthesized by VQ-CTAP, and the same tokens in random order."""

from dataclasses import replace

import torch

from vocable.apps.tts import with_silences
from vocable.audio import Audio
from vocable.evaluate.plan import as_scored, derive_seed
from vocable.evaluate.recognition import score_transcript
from vocable.interfaces import SpeechRecognizer
from vocable.metrics.score import Score
from vocable.metrics.text import per
from vocable.systems.ctap.tokenizer import CtapTokenizer
from vocable.text.phonemes import SILENCE
from vocable.tokens import Tokens
from vocable_lab.shared.phones import pronouncer

SENTENCES = (
    "The train to the city leaves at half past seven.",
    "Please close the window before you go to bed.",
    "My brother wants to buy a new bicycle next week.",
    "We had soup and bread for dinner last night.",
    "The weather will be warm and dry tomorrow.",
    "Can you tell me where the post office is?",
    "She put the keys on the table by the door.",
    "The children are playing football in the park.",
    "I need to call my mother before it gets dark.",
    "There is a good film on television this evening.",
)


def phonemes_of(text: str) -> list[str]:
    """Return the phonemes of a sentence, with silence at both ends."""
    return with_silences(pronouncer().phones(text))


def speak_sentence(tokenizer: CtapTokenizer, text: str, voice: Audio, *, seed: int) -> tuple[Tokens, Tokens]:
    """Synthesize the tokens of a sentence in a voice, and return the same tokens in random order beside them.

    Raises:
        CheckpointError: If the model's connector is not trained.
        AudioError: If the voice is too short.
    """
    tokens = tokenizer.speak(phonemes_of(text), voice, seed=derive_seed(seed, text))
    order = torch.randperm(tokens.ids.shape[2], generator=torch.Generator().manual_seed(derive_seed(seed, text)))
    return tokens, replace(tokens, ids=tokens.ids[..., order])


def score_sentence(
    tokenizer: CtapTokenizer, text: str, voice: Audio, recognizer: SpeechRecognizer, *, seed: int
) -> dict[str, Score]:  # fmt: skip
    """Return word and phone errors of a synthesized sentence, with its tokens in order and in random order.

    Raises:
        CheckpointError: If the model's connector is not trained.
        AudioError: If the voice is too short, or the synthesized speech is silent.
    """
    phones = [phone for phone in phonemes_of(text) if phone != SILENCE]
    scores = {}
    for name, tokens in zip(("", "_shuffled"), speak_sentence(tokenizer, text, voice, seed=seed), strict=True):
        speech = tokenizer.decode(tokens)
        scores[f"tts_wer{name}"] = score_transcript(recognizer, text, as_scored(speech))
        scores[f"tts_per{name}"] = per(phones, tokenizer.transcribe(tokenizer.encode(speech))).score()
    return scores
