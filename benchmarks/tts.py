"""Speech from text: word errors and opinion scores of forty sentences in several voices, and of shuffled tokens.

python benchmarks/tts.py VOICE... [--model NAME]

Each voice is a recording of an unseen speaker. The sentences were written for this benchmark and are in no corpus at
hand. The control is the same tokens in random order: its word errors show what the recognizer guesses.
"""

from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import typer
from anchors import interval, main, record, verdict

_SENTENCES = (
    "The baker opens his shop before the sun comes up.",
    "My neighbor has planted three apple trees behind the house.",
    "Do you know when the next bus to the station leaves?",
    "The old bridge was closed because of the heavy rain.",
    "She wrote a long letter to her sister in Canada.",
    "We could hear the waves from our room at night.",
    "The doctor told him to rest for at least a week.",
    "A small boat was waiting at the end of the pier.",
    "Please put the glasses on the top shelf of the cupboard.",
    "They painted the front door green and the windows white.",
    "The meeting was moved from Monday to Thursday morning.",
    "He lost his wallet somewhere between the bank and the market.",
    "The cat jumped onto the roof and looked down at us.",
    "I would like a cup of tea with milk and no sugar.",
    "Her grandfather was a pilot and her mother is a teacher.",
    "The library has more than twenty thousand books.",
    "Snow covered the fields as far as we could see.",
    "Can you help me carry this heavy box to the car?",
    "The judge asked the witness to speak a little louder.",
    "Fresh bread and cheese are all we need for lunch.",
    "The lights went out in the middle of the second act.",
    "Our team won the game in the last two minutes.",
    "There was a strange noise coming from the kitchen.",
    "He plays the violin every evening after dinner.",
    "The farmer sold his horses and bought a tractor.",
    "It takes about an hour to walk around the lake.",
    "The girl in the yellow coat is waiting for her brother.",
    "We should leave early so that we do not miss the flight.",
    "The price of coffee has gone up again this year.",
    "A thick fog came in from the sea during the night.",
    "You can borrow my umbrella if it starts to rain.",
    "The museum is free on the first Sunday of the month.",
    "His answer surprised everybody in the room.",
    "The children built a castle of sand on the beach.",
    "Turn left at the church and then go straight ahead.",
    "The new road will make the journey much shorter.",
    "She forgot to water the plants while we were away.",
    "The chef cut the onions and heated some butter.",
    "Nobody noticed that the clock on the wall had stopped.",
    "I have never seen so many stars in the sky.",
)
_MAX_WER, _MIN_SHUFFLED, _MIN_MOS = 0.18, 0.9, 3.2


def tts(
    voices: Annotated[list[Path], typer.Argument(help="Recordings of unseen speakers, each of at least 3 s.")],
    model: Annotated[str, typer.Option(help="Name or folder of a model that speaks.")] = "ctap-small",
    limit: Annotated[int, typer.Option(min=1, max=len(_SENTENCES), help="Number of sentences.")] = len(_SENTENCES),
    seed: Annotated[int, typer.Option(help="Seed of the speech and of the intervals.")] = 0,
    name: Annotated[str, typer.Option(help="Name of the result.")] = "tts",
) -> None:
    """Measure; prints a line for each voice and writes results/NAME.json."""
    import torch

    import vocable
    from vocable.apps.tts import as_text_to_speech, with_silences
    from vocable.audio import Audio
    from vocable.evaluate.judges.find import find_scorer
    from vocable.evaluate.plan import as_scored, derive_seed
    from vocable.metrics.text import ErrorCounts, normalize_english, wer
    from vocable.text.pronounce import ArpabetPronouncer

    torch.set_num_threads(1)
    loaded = vocable.load(model)
    speaker, pronouncer = as_text_to_speech(loaded), ArpabetPronouncer()
    recognizer, rater = find_scorer("recognizer"), find_scorer("opinion", "dnsmos-p808")
    results: dict[str, Any] = {}
    none = ErrorCounts(hits=0, substitutions=0, deletions=0, insertions=0)
    totals = {"": none, "_shuffled": none}
    opinions: list[float] = []
    for path in voices:
        voice, rates, speakers = Audio.read(path), [], path.stem
        own = dict.fromkeys(totals, none)
        for sentence in _SENTENCES[:limit]:
            number = derive_seed(seed, f"{speakers} {sentence}")
            tokens = speaker.speak(with_silences(pronouncer.phones(sentence)), voice, seed=number)
            order = torch.randperm(tokens.ids.shape[2], generator=torch.Generator().manual_seed(number))
            for key, said in (("", tokens), ("_shuffled", replace(tokens, ids=tokens.ids[..., order]))):
                speech = as_scored(speaker.decode(said))
                own[key] += wer(sentence, recognizer.transcribe(speech), normalizer=normalize_english)
                if not key:
                    rates.append(next(iter(rater.rate(speech).values())))
        totals = {key: totals[key] + own[key] for key in totals}
        opinions += rates
        results[speakers] = {
            "wer": own[""].rate, "wer_shuffled": own["_shuffled"].rate, "dnsmos_p808": interval(rates, seed=seed),
        }  # fmt: skip
        typer.echo(f"{speakers}: WER {own[''].rate:.3f}, DNSMOS P.808 {sum(rates) / len(rates):.2f}")
    mean = sum(opinions) / len(opinions)
    errors, shuffled = totals[""].rate, totals["_shuffled"].rate
    typer.echo(
        f"all: WER {errors:.3f} ({verdict(errors - _MAX_WER)}), shuffled {shuffled:.3f} "
        f"({verdict(_MIN_SHUFFLED - shuffled)}), DNSMOS P.808 {mean:.2f} ({verdict(_MIN_MOS - mean)})"
    )
    written = record(
        name, model, loaded, voices=[path.name for path in voices], sentences=limit, seed=seed,
        recognizer=recognizer.name, wer=errors, wer_shuffled=shuffled, words=totals[""].reference,
        dnsmos_p808=interval(opinions, seed=seed), by_voice=results,
    )  # fmt: skip
    typer.echo(written)


if __name__ == "__main__":
    main(tts)
