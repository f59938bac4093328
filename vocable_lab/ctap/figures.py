"""Columns of the protocol of VQ-CTAP, and figures computed over all clips."""

from collections.abc import Sequence

from vocable.evaluate.card import Better, Column, ProbeRow
from vocable.evaluate.summary import BIT_RATE, ENTROPY, PERPLEXITY
from vocable.metrics.score import Figure, point_figure
from vocable_lab.shared import codes, voices
from vocable_lab.shared.rates import RATE_COLUMNS

PAPER = "arXiv:2408.05758, from 24 kHz, as its summary gives it"
OPINIONS = (
    "Reported and not measured here, as they are opinions of listeners: text to speech P-MOS 3.99 and S-MOS 4.03 "
    "(arXiv:2408.05758, which does not define P and S). `vocable evaluate listen` makes such a test."
)
SPEEDS = (0.8, 0.9, 1.1, 1.25)
_REPORTED = {"samples_per_token": 960.0, "tokens_per_second": 25.0, BIT_RATE.key: 325.0}
_BATCH = (
    "Share of speech frames whose own phoneme frame has the largest dot product with them, in a batch of up to 8 "
    "utterances by as many speakers; silent frames are left out; interval over batches."
)
_CODES = {column.key: column for column in codes.COLUMNS}
_VOICES = {column.key: column for column in voices.COLUMNS}


def _column(key: str, title: str, better: Better, caption: str, unit: str = "%", form: str = ".1f") -> Column:
    return Column(key=key, title=title, unit=unit, better=better, caption=caption, form=form)


COLUMNS = (
    _column("retrieval_top1", "retrieval top-1", "higher", _BATCH),
    _CODES["per"],
    _column("per_after_conversion", "PER after conversion", "lower",
            "The same from the codes of the converted speech: decoded in another speaker's voice, encoded again."),
    _CODES["codebook_usage"],
    _VOICES["vc_target_closer_share"],
    _CODES["mel_error"],
    _CODES["per_majority"],
    _column("per_reconstructed", "PER of reconstruction", "lower", "As after conversion, in the clip's own voice."),
    _column("per_lost_by_conversion", "PER lost by conversion", "lower",
            "Rate after conversion less that of the reconstruction, of the same clips."),
    _column("retrieval_chance", "retrieval chance", "neither", "Share that a random guess among the frames finds.", "%",
            ".3f"),
    _column("retrieval_times_chance", "retrieval over chance", "higher", "Top-1 as a multiple of chance.", "×"),
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
    _VOICES["vc_target_similarity"],
    _VOICES["vc_source_similarity"],
    _column("log_mel_distance", "log-mel distance", "lower",
            "Mean absolute difference of 80 log-mel bands at 16 kHz, after the vocoder.", "dB", ".2f"),
    _column("wer_recording", "WER of recordings", "lower", "Word errors of the recognizer in the recordings."),
    _column("wer_reconstructed", "WER of reconstruction", "lower",
            "Word errors in speech decoded in the clip's own voice. The paper's authors later measured 17.06 % of "
            "their model, by FunASR on other speech (arXiv:2508.02849)."),
    _column("wer_after_conversion", "WER after conversion", "lower", "Word errors in the converted speech."),
    _column("tts_wer", "TTS WER", "lower", "Word errors of the recognizer in ten synthesized sentences."),
    _column("tts_wer_shuffled", "TTS WER, codes shuffled", "lower", "The same with the tokens in random order."),
    _column("tts_per", "TTS PER", "lower", "Phones read from the codes of that speech, encoded again."),
    _column("tts_per_shuffled", "TTS PER, codes shuffled", "lower", "The same with the tokens in random order."),
    _CODES["codebook_usage_trained"],
    _column("speaker_from_codes", "speaker from codes", "neither",
            "Top-1 accuracy of a probe on mean and deviation of a clip's codebook vectors, where it should not be."),
    _column("speaker_from_voice", "speaker from voice", "higher", "The same from the voice vector, which should tell."),
    _column("disentanglement", "disentanglement", "higher",
            "Speaker from voice less speaker from codes, in points; its interval is the widest the two allow."),
    _column("speaker_chance", "speaker chance", "neither", "Share that a random guess among the speakers finds."),
    PERPLEXITY,
    ENTROPY,
    *RATE_COLUMNS,
    _CODES["tokens_per_second"],
    _column("samples_per_token", "samples to a token", "neither", "The compression of the paper.", "", ",.0f"),
)  # fmt: skip
MAIN = (
    "retrieval_top1", "retrieval_times_chance", "per", "per_majority", "per_after_conversion", "codebook_usage",
    "vc_target_closer_share", "mel_error", "tts_wer", "tts_wer_shuffled",
)  # fmt: skip
OVER_ITEMS = ("retrieval", "tts")  # prefixes of keys whose intervals are over items, not over speakers


def disentanglement_figures(rows: Sequence[ProbeRow]) -> dict[str, Figure]:
    """Return figures of how well the speaker is recognized from the voice and from the tokens.

    Args:
        rows: Rows of the probe ``speaker`` on ``level 1`` and ``voice vector``.
    """
    token_row, voice_row = (next(row for row in rows if row.view == view) for view in ("level 1", "voice vector"))
    tokens, voice = token_row.figure, voice_row.figure
    difference = Figure(
        mean=voice.mean - tokens.mean, low=voice.low - tokens.high, high=voice.high - tokens.low,
        n=min(voice.n, tokens.n), excluded=voice.excluded, reasons=voice.reasons,
    )  # fmt: skip
    return {
        "speaker_from_codes": tokens, "speaker_from_voice": voice, "disentanglement": difference,
        "speaker_chance": point_figure(token_row.chance, tokens.n),
    }  # fmt: skip


def reported_figures() -> dict[str, tuple[float, str]]:
    """Return the figures that the paper reports, with their source, by column."""
    return {key: (value, PAPER) for key, value in _REPORTED.items()}
