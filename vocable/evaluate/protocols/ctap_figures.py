"""What the evaluation of VQ-CTAP measures, how it is shown, and the figures that all clips make together."""

import math
from collections import Counter
from collections.abc import Iterable, Sequence

import numpy as np
import torch
from jaxtyping import Int
from torch import Tensor

from vocable.audio import Audio
from vocable.evaluate.card import Better, Column, ProbeRow
from vocable.evaluate.summary import BIT_RATE, ENTROPY, PERPLEXITY, USED, usage, usage_figures
from vocable.metrics.score import Figure, Score
from vocable.systems.ctap.tokenizer import CtapTokenizer
from vocable.systems.supervised.tokenizer import SupervisedTokenizer
from vocable.tokens import Tokens

PAPER = "arXiv:2408.05758, from 24 kHz, as its summary gives it"
OPINIONS = (
    "Reported and not measured here, as they are opinions of listeners: speech from text P-MOS 3.99 and S-MOS 4.03 "
    "(arXiv:2408.05758; what P and S stand for is not said). `vocable evaluate listen` makes such a test."
)
SPEEDS = (0.8, 0.9, 1.1, 1.25)
_REPORTED = {"samples_per_token": 960.0, "tokens_per_second": 25.0, BIT_RATE.key: 325.0}
_BATCH = (
    "Of a batch of up to 8 utterances by as many speakers: how often the phoneme frame with the largest dot product "
    "with a speech frame is the speech frame's own; silence neither asks nor answers; interval over batches."
)
_PHONES = "errors of all clips over phones of all clips, without stress and silence; interval over speakers"


def _column(key: str, title: str, better: Better, caption: str, unit: str = "%", form: str = ".1f") -> Column:
    return Column(key=key, title=title, unit=unit, better=better, caption=caption, form=form)


COLUMNS = (
    _column("retrieval_top1", "retrieval top-1", "higher", _BATCH),
    _column("per", "PER from codes", "lower",
            f"Phones that the phoneme decoder reads from the codes against those of the manifest: {_PHONES}."),
    _column("per_after_conversion", "PER after conversion", "lower",
            "The same from the codes of the converted speech: decoded in another speaker's voice, encoded again."),
    _column("codebook_usage", "codebook usage", "higher",
            "Share of the codebook's entries that occur in these clips; the interval is that of a bootstrap over "
            "clips, moved onto the figure, as fewer clips in a resample hold fewer entries."),
    _column("vc_target_closer_share", "target closer than source", "higher",
            "Share of pairs in which the converted speech is nearer to another recording of the target speaker than "
            "to the source recording itself, whose words it says: cosine of the judge's voice vectors."),
    _column("mel_error", "mel error", "lower",
            "Mean absolute difference of the model's own mel spectra before the vocoder, in its range of levels.",
            "dB", ".2f"),
    _column("per_majority", "PER of the commonest phone", "lower",
            "What reads nothing gets: the commonest phone of these clips, as often as the reference is long."),
    _column("per_reconstructed", "PER of reconstruction", "lower", "As after conversion, in the clip's own voice."),
    _column("per_lost_by_conversion", "PER lost by conversion", "lower",
            "Rate after conversion less that of the reconstruction, of the same clips."),
    _column("retrieval_chance", "retrieval chance", "neither", "What a guess among the frames hits.", "%",
            ".3f"),
    _column("retrieval_times_chance", "retrieval over chance", "higher", "Top-1 as so many times chance.", "×"),
    _column("retrieval_over_shuffled", "top-1 over shuffled", "higher",
            "Top-1 less that of the shuffled control, in points, batch by batch."),
    _column("retrieval_over_untrained", "top-1 over untrained", "higher",
            "Top-1 less that of the untrained control, in points, batch by batch."),
    _column("retrieval_top5", "retrieval top-5", "higher", "As top-1, among the five best."),
    _column("retrieval_phoneme", "retrieval, phoneme", "higher", "The best frame is one of the same phoneme."),
    _column("retrieval_top1_all", "top-1, silence too", "higher", "As top-1, with all frames."),
    *(_column(f"retrieval_top1_{speed:g}", f"top-1 at {speed:g} × speed", "higher",
              "As top-1, recording and alignment played faster or slower; pitch and formants move along.")
      for speed in SPEEDS),
    _column("vc_target_similarity", "similarity to target", "higher",
            "Cosine to another recording of the target speaker.", "", ".3f"),
    _column("vc_source_similarity", "similarity to source", "lower", "Cosine to the source recording.", "", ".3f"),
    _column("log_mel_distance", "log-mel distance", "lower",
            "Mean absolute difference of 80 log-mel bands at 16 kHz, behind the vocoder.", "dB", ".2f"),
    _column("wer_recording", "WER of recordings", "lower", "Word errors of the recogniser in the recordings."),
    _column("wer_reconstructed", "WER of reconstruction", "lower",
            "Word errors in what is decoded in the clip's own voice. The paper's authors later measured 17.06 % of "
            "their model, by FunASR on other speech (arXiv:2508.02849)."),
    _column("wer_after_conversion", "WER after conversion", "lower", "Word errors in the converted speech."),
    _column("tts_wer", "TTS WER", "lower", "Word errors of the recogniser in ten sentences that nobody said."),
    _column("tts_wer_shuffled", "TTS WER, codes shuffled", "lower", "The same with the tokens in random order."),
    _column("tts_per", "TTS PER", "lower", "Phones read from the codes of that speech, encoded again."),
    _column("tts_per_shuffled", "TTS PER, codes shuffled", "lower", "The same with the tokens in random order."),
    _column("codebook_usage_trained", "usage in training", "higher",
            "Share of entries that were in use when training ended, by moving counts."),
    _column("speaker_from_codes", "speaker from codes", "neither",
            "Top-1 accuracy of a probe on mean and deviation of a clip's codebook vectors: what should not be there."),
    _column("speaker_from_voice", "speaker from voice", "higher", "The same from the voice vector: what should be."),
    _column("disentanglement", "disentanglement", "higher",
            "Speaker from voice less speaker from codes, in points; its interval is the widest the two allow."),
    _column("speaker_chance", "speaker chance", "neither", "What a guess among the probe's speakers hits."),
    PERPLEXITY,
    ENTROPY,
    Column(key=BIT_RATE.key, title=BIT_RATE.title, unit=BIT_RATE.unit, better="lower", form=",.0f",
           caption="Bits a second of the tokens, from the spec; the voice goes once a clip."),
    _column("tokens_per_second", "tokens/s", "neither", "From the spec.", "", ".4g"),
    _column("samples_per_token", "samples to a token", "neither", "The compression of the paper.", "", ",.0f"),
)  # fmt: skip
MAIN = (
    "retrieval_top1", "retrieval_times_chance", "per", "per_majority", "per_after_conversion", "codebook_usage",
    "vc_target_closer_share", "mel_error", "tts_wer", "tts_wer_shuffled",
)  # fmt: skip
OVER_ITEMS = ("retrieval", "tts")  # how the keys begin whose intervals are over items, not over speakers


def usage_figure(clips: Sequence[Int[Tensor, " _"]], codebook_size: int, seed: int, rounds: int = 1000) -> Figure:
    """Share of the codebook that occurs in clips.

    Args:
        clips: Ids of each.
        codebook_size: K.
        seed: Of the bootstrap over clips.
        rounds: Of it.

    Returns:
        With the bootstrap's interval moved onto the figure: a resample holds 63 % of the clips, so fewer entries.

    Example:
        >>> usage_figure([torch.tensor([0, 1]), torch.tensor([1, 2])], 4, seed=0).mean
        0.75
    """
    present = np.zeros((len(clips), codebook_size), dtype=bool)
    for row, ids in zip(present, clips, strict=True):
        row[ids.numpy()] = True
    mean = float(present.any(0).mean())
    if len(clips) < 2:
        return Figure(mean=mean, low=math.nan, high=math.nan, n=len(clips))
    random = np.random.default_rng(seed)
    drawn = [present[np.unique(random.integers(len(clips), size=len(clips)))].any(0).mean() for _ in range(rounds)]
    low, high = np.percentile(drawn, [2.5, 97.5]) - np.mean(drawn) + mean
    return Figure(mean=mean, low=max(0.0, float(low)), high=min(1.0, float(high)), n=len(clips))


def mel_error(tokenizer: CtapTokenizer | SupervisedTokenizer, clip: Audio, tokens: Tokens) -> Score:
    """How far the spectra that the decoder makes of a clip's tokens are from the clip's, in dB."""
    config, model = tokenizer.config, tokenizer.model
    samples = clip.resample(config.mel.sample_rate).samples
    padded = torch.from_numpy(np.pad(samples, (0, -samples.size % config.hop)))[None]
    with torch.inference_mode():
        wanted = model.decibels(model.frames(padded.to(tokenizer.device)))[0].cpu()
    assert tokens.voice is not None
    return Score(float((tokenizer.spectra(tokens, tokens.voice) - wanted).abs().mean()))


def disentangled(rows: Sequence[ProbeRow]) -> dict[str, Figure]:
    """How much of who speaks is in the voice and not in the codes.

    Args:
        rows: Of the probe ``speaker`` on ``level 1`` and ``voice vector``.
    """
    codes, voice = (next(row for row in rows if row.view == view) for view in ("level 1", "voice vector"))
    one, other = voice.figure, codes.figure
    apart = Figure(
        mean=one.mean - other.mean, low=one.low - other.high, high=one.high - other.low, n=min(one.n, other.n),
        excluded=one.excluded, reasons=one.reasons,
    )  # fmt: skip
    return {
        "speaker_from_codes": other, "speaker_from_voice": one, "disentanglement": apart,
        "speaker_chance": counted(codes.chance, other.n),
    }  # fmt: skip


def commonest(said: Iterable[Sequence[str]]) -> str:
    """The commonest phone of all clips; of equally common ones the first in the alphabet.

    Example:
        >>> commonest([["T", "AH"], ["AH"]])
        'AH'
    """
    counts = Counter(phone for phones in said for phone in phones)
    return min(counts, key=lambda phone: (-counts[phone], phone))


def token_figures(
    tokenizer: CtapTokenizer | SupervisedTokenizer, clips: Sequence[Tokens], seed: int
) -> dict[str, Figure]:
    """What tokens cost, and how the codebook is used by clips and was in training."""
    spec, n = tokenizer.spec, len(clips)
    assert spec.hop is not None
    found = usage_figures(usage(clips, 1), spec.frame_rate, n)
    del found[USED.key]  # it stands under codebook_usage, with its interval
    trained = tokenizer.books[0].stats()["used"]
    values: dict[str, float] = {
        "samples_per_token": float(spec.hop), "tokens_per_second": spec.token_rate, BIT_RATE.key: spec.bit_rate,
        "codebook_usage_trained": float(trained),
    }  # fmt: skip
    found |= {key: counted(value, n) for key, value in values.items()}
    return found | {"codebook_usage": usage_figure([one.ids[0, 0] for one in clips], spec.codebook_size, seed)}


def reported() -> dict[str, tuple[float, str]]:
    """What the paper says of itself, by column."""
    return {key: (value, PAPER) for key, value in _REPORTED.items()}


def counted(value: float, n: int) -> Figure:
    """A figure of all clips at once: there is no interval."""
    return Figure(mean=float(value), low=math.nan, high=math.nan, n=n)
