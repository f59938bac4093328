"""Columns and anchors of TASTE's card, and reported figures."""

from collections.abc import Mapping

from vocable.evaluate.card import Better, Column, Entry
from vocable.evaluate.summary import ENTROPY, PERPLEXITY, USED
from vocable.metrics.score import Figure
from vocable_lab.shared.pictures import column
from vocable_lab.shared.rates import CLIP_RATES

SEED = "seed, table 2: S3 units at 50 Hz, LibriSpeech test-clean; another task"
REPORTED = {"top1": (0.114, SEED), "loss": (5.0857, SEED)}
NOTE = (
    "The model is given the recording's number of units, but in figures of *length found*. The seed's 11.40 % and "
    "5.0857 nats are of 4096 S3 units at 50 Hz: another task."
)
_UNITS = "of all units of the clips, each given the recording's units before it; interval over speakers"
_SPOKEN = "Of the clips that are synthesized, with units sampled one by one, as many as the recording has"
_FOUND = "Of the same model when it must find the number of units"


def _column(key: str, title: str, better: Better, caption: str, unit: str = "%", form: str = ".1f") -> Column:
    return column(key, title, better, caption, unit, form)


COLUMNS = (
    _column("top1", "top-1", "higher", f"Share of units that are the most likely one, {_UNITS}.", form=".2f"),
    _column("top5", "top-5", "higher", "Share of units that are among the five most likely.", form=".2f"),
    _column("top1_length_found", "top-1, length found", "higher",
            f"{_FOUND}: predicted durations are not scaled to the recording. Relative positions never are.",
            form=".2f"),
    _column("loss_length_found", "loss, length found", "lower", f"{_FOUND}: cross-entropy as in *loss*.",
            "nats a unit", ".4f"),
    _column("length_error", "length error", "lower",
            f"{_FOUND}: difference between the units sampled up to the end that it draws and the recording's, over the "
            "latter; of the clips that are synthesized."),
    _column("text_only_top1", "text-only top-1", "higher", "Top-1 of the same model without speech.",
            form=".2f"),
    _column("text_only_top5", "text-only top-5", "higher", "Top-5 of the same model without speech.",
            form=".2f"),
    _column("repeat_last_top1", "repeat-last top-1", "higher",
            "Top-1 of repeating the previous unit; a clip's first unit counts as missed.", form=".2f"),
    _column("majority_top1", "majority top-1", "higher", "Top-1 of always predicting these clips' commonest unit.",
            form=".2f"),
    _column("gain_over_text", "gain over text", "higher", "Top-1 minus text-only top-1, clip by clip, in points.",
            form=".2f"),
    _column("gain_over_repeat", "gain over repeat-last", "higher",
            "Top-1 minus repeat-last top-1, clip by clip, in points.", form=".2f"),
    _column("top1_unquantized", "top-1, unquantized", "higher", "Top-1 with unquantized speech vectors.", form=".2f"),
    _column("top5_unquantized", "top-5, unquantized", "higher", "Top-5 with unquantized speech vectors.", form=".2f"),
    _column("loss", "loss", "lower", f"Cross-entropy {_UNITS}; the end symbol does not count.", "nats a unit", ".4f"),
    _column("text_only_loss", "text-only loss", "lower", "The same without speech.", "nats a unit", ".4f"),
    _column("unigram_entropy", "unigram entropy", "neither",
            "Cross-entropy of the units' frequencies in these clips.", "nats a unit", ".4f"),
    _column("uniform", "uniform", "neither", "Cross-entropy of a uniform guess: ln (K + 1), the end symbol included.",
            "nats a unit", ".4f"),
    _column("units_in_use", "units in use", "higher",
            "Distinct units in these clips; bootstrap interval over clips, centered on the figure.",
            "", ",.0f"),
    _column("heard_to_said", "speech to text", "neither",
            "Length of the speech vectors over that of the text vectors, means over subwords.", "", ".3f"),
    _column("alignment_error_ms", "alignment error", "lower",
            "Distance of the center of a subword's attention from the middle of the subword by forced alignment, with "
            "a word's time shared in proportion to letters: median over subwords.", "ms", ",.0f"),
    _column("alignment_error_mean_ms", "alignment error, mean", "lower", "The same, mean over subwords.", "ms", ",.0f"),
    _column("alignment_error_words_ms", "alignment error of words", "lower",
            "Distance of the mean center of a word's subwords from its middle: median over words.", "ms", ",.0f"),
    _column("attention_entropy", "attention entropy", "neither",
            "Entropy of a subword's attention, mean of the heads; ln F is uniform over F frames.", "nats", ".2f"),
    _column("attention_coverage", "attention coverage", "higher",
            "Share of the frames inside words that get at least a tenth of an equal share of the attention."),
    _column("bits_per_second", "bit/s of speech", "lower", "Bits of the speech tokens per second.", "bit/s", ",.1f"),
    *CLIP_RATES,
    _column("text_bits_per_second", "bit/s of text", "lower",
            "Upper bound of the bits of the text per second: log2 of the vocabulary size a subword.", "bit/s", ",.1f"),
    _column("pieces_per_second", "pieces/s", "neither", "Tokens per second.", "", ".2f"),
    _column("wer", "WER", "lower", f"Word error rate by the recognizer. {_SPOKEN}."),
    _column("wer_length_found", "WER, length found", "lower", f"{_FOUND}, up to the end that it draws."),
    _column("wer_text_only", "WER, text only", "lower", "The same without speech."),
    _column("wer_codec", "WER of the codec", "lower",
            "The same of the recording's own units, decoded by their source."),
    _column("wer_recording", "WER of recordings", "lower", "The same of the recordings."),
    _column("wer_over_codec", "WER over the codec's", "lower", "WER minus that of the codec, clip by clip, in points."),
    _column("duration_consistency", "durations kept", "higher",
            "Share of words whose duration is that in the recording ± 50 ms, by forced alignment of both with "
            f"pocketsphinx. {_SPOKEN}."),
    _column("duration_consistency_text_only", "durations kept, text only", "higher", "The same without speech."),
    _column("duration_consistency_codec", "durations kept, codec", "higher", "The same of the recording's own units."),
    _column("edit_changed_toward_donor", "edits toward the donor", "higher",
            "The middle word's tokens are swapped for those of another recording of the text, or of the clip itself at "
            "0.8 × speed: share of clips in which the word's duration by the tokens moves toward the donor's; clips "
            "whose durations differ by less than 10 ms do not count."),
    _column("edit_carried", "edits: carried over", "higher",
            "Share of the difference in duration that the word takes over, by the tokens. Tokens without durations "
            "move it a little toward a slower donor, too, as the clip becomes longer."),
    _column("edit_others_ms", "edits: other words", "lower",
            "Mean change of the other words' durations, by the tokens.", "ms", ".1f"),
    _column("edit_units_toward_donor", "edits: units toward the donor", "higher",
            "Share of those clips whose number of units moves toward the donor's."),
    _column("edit_spoken_toward_donor", "edits toward the donor, spoken", "higher",
            "Share of clips whose word moves that way in the decoded speech, by pocketsphinx; clips that cannot be "
            f"aligned count as not moved. {_SPOKEN}."),
    _column("edit_spoken_others_ms", "edits: other words, spoken", "lower",
            "Mean change of the other words in that speech; units are sampled anew, so this includes the effect of "
            "sampling.", "ms", ".1f"),
    _column("edit_word_heard", "edits: word heard", "higher",
            f"Share of clips in which the recognizer hears the swapped word after the swap. {_SPOKEN}."),
    _column("edit_words_kept", "edits: words kept", "higher",
            "Of the other words that the recognizer hears before the swap, the share that it hears after it."),
    USED,
    PERPLEXITY,
    ENTROPY,
)  # fmt: skip
MAIN = (
    "top1", "top1_length_found", "top5", "text_only_top1", "repeat_last_top1", "gain_over_text", "units_in_use",
    "alignment_error_ms", "wer", "wer_codec", "duration_consistency", "edit_carried", "edit_others_ms",
)  # fmt: skip
_ANCHORS: Mapping[str, tuple[str, Mapping[str, str]]] = {  # note, and the tokenizer's figure by column
    "recording": ("the recording itself", {"wer": "wer_recording"}),
    "codec": (
        "the recording's own units, decoded: the ceiling of predicting them",
        {"wer": "wer_codec", "duration_consistency": "duration_consistency_codec"},
    ),
    "length found": (
        "the same model, which is not given the recording's number of units",
        {"top1": "top1_length_found", "loss": "loss_length_found", "wer": "wer_length_found"},
    ),
    "text only": (
        "control: the same model without speech",
        {"top1": "text_only_top1", "top5": "text_only_top5", "loss": "text_only_loss", "wer": "wer_text_only",
         "duration_consistency": "duration_consistency_text_only"},
    ),
    "repeat last": ("control: the previous unit, repeated", {"top1": "repeat_last_top1"}),
    "unigram": (
        "control: frequencies of the units in these clips",
        {"top1": "majority_top1", "loss": "unigram_entropy"},
    ),
    "uniform": ("control: a uniform guess", {"loss": "uniform"}),
}  # fmt: skip


def anchors(figures: Mapping[str, Figure]) -> list[Entry]:
    """Return controls and bounds as entries.

    Args:
        figures: Figures of the tokenizer, which include those of the anchors.
    """
    found = []
    for name, (note, keys) in _ANCHORS.items():
        own = {key: figures[source] for key, source in keys.items() if source in figures}
        if own:
            found.append(Entry(name=name, kind="anchor", family=name, note=note, figures=own))
    return found
