"""How the evaluation of TASTE is shown: its columns, its anchors, and what the seed says of itself."""

from collections.abc import Mapping

from vocable.evaluate.card import Better, Column, Entry
from vocable.evaluate.summary import ENTROPY, PERPLEXITY, USED
from vocable.metrics.score import Figure

SEED = "seed, table 2: S3 units at 50 Hz, LibriSpeech test-clean; not the same task"
REPORTED = {"top1": (0.114, SEED), "loss": (5.0857, SEED)}
NOTE = "The seed's 11.40 % and 5.0857 nats are of S3 units at 50 Hz, 4096 of them: not the same task."
_UNITS = "of all units of the clips, each given those before it that were really said; interval over speakers"
_SPOKEN = "Of the clips that the recogniser hears, with units drawn one by one and as many as the recording has"


def _column(key: str, title: str, better: Better, caption: str, unit: str = "%", form: str = ".1f") -> Column:
    return Column(key=key, title=title, unit=unit, better=better, caption=caption, form=form)


COLUMNS = (
    _column("top1", "top-1", "higher", f"How often the likeliest unit is the next one, {_UNITS}.", form=".2f"),
    _column("top5", "top-5", "higher", "How often the next unit is among the five likeliest.", form=".2f"),
    _column("text_only_top1", "text-only top-1", "higher", "Top-1 of the same model when it hears nothing.",
            form=".2f"),
    _column("text_only_top5", "text-only top-5", "higher", "Top-5 of the same model when it hears nothing.",
            form=".2f"),
    _column("repeat_last_top1", "repeat-last top-1", "higher",
            "Saying the unit before once more; a clip's first unit counts as missed.", form=".2f"),
    _column("majority_top1", "majority top-1", "higher", "Always saying the commonest unit of these clips.",
            form=".2f"),
    _column("gain_over_text", "gain over text", "higher", "Top-1 less text-only top-1, clip by clip, in points.",
            form=".2f"),
    _column("gain_over_repeat", "gain over repeat-last", "higher",
            "Top-1 less repeat-last top-1, clip by clip, in points.", form=".2f"),
    _column("top1_unquantized", "top-1, unquantized", "higher", "Top-1 with what is heard as it is.", form=".2f"),
    _column("top5_unquantized", "top-5, unquantized", "higher", "Top-5 with what is heard as it is.", form=".2f"),
    _column("loss", "loss", "lower", f"Cross-entropy {_UNITS}; the end is not counted.", "nats a unit", ".4f"),
    _column("text_only_loss", "text-only loss", "lower", "The same when nothing is heard.", "nats a unit", ".4f"),
    _column("unigram_entropy", "unigram entropy", "neither",
            "What knowing how often each unit occurs in these very clips costs.", "nats a unit", ".4f"),
    _column("uniform", "uniform", "neither", "What knowing nothing costs: ln (K + 1), the end included.",
            "nats a unit", ".4f"),
    _column("units_in_use", "units in use", "higher",
            "Distinct units in these clips; the interval is that of a bootstrap over clips, moved onto the figure.",
            "", ",.0f"),
    _column("heard_to_said", "heard to said", "neither",
            "Length of the vectors that are heard over that of the text's, mean over subwords.", "", ".3f"),
    _column("alignment_error_ms", "alignment error", "lower",
            "Centre of what a subword looks at against the middle of the subword as forced alignment has it, a word's "
            "time shared by letters: median over subwords.", "ms", ",.0f"),
    _column("alignment_error_mean_ms", "alignment error, mean", "lower", "The same, mean over subwords.", "ms", ",.0f"),
    _column("alignment_error_words_ms", "alignment error of words", "lower",
            "Mean centre of a word's subwords against the word's middle: median over words.", "ms", ",.0f"),
    _column("attention_entropy", "attention entropy", "neither",
            "Of what a subword looks at, mean of the heads; ln F is looking at all F frames alike.", "nats", ".2f"),
    _column("attention_coverage", "attention coverage", "higher",
            "Share of the frames inside of words that get at least a tenth of an equal share of all attention."),
    _column("bits_per_second", "bit/s of speech", "lower", "Bits of what is heard per second.", "bit/s", ",.1f"),
    _column("text_bits_per_second", "bit/s of text", "lower",
            "Bits of the text per second: log2 of the table's size for each subword, so at most.", "bit/s", ",.1f"),
    _column("pieces_per_second", "pieces/s", "neither", "Tokens per second.", "", ".2f"),
    _column("wer", "WER", "lower", f"Word errors of the recogniser. {_SPOKEN}."),
    _column("wer_text_only", "WER, text only", "lower", "The same when nothing is heard."),
    _column("wer_codec", "WER of the codec", "lower",
            "The same of the recording's own units, as their source decodes them."),
    _column("wer_recording", "WER of recordings", "lower", "The same of the recordings."),
    _column("wer_over_codec", "WER over the codec's", "lower", "WER less that of the codec, clip by clip, in points."),
    _column("duration_consistency", "durations kept", "higher",
            "Share of words that last as long as in the recording, ± 50 ms, by forced alignment of both with "
            f"pocketsphinx. {_SPOKEN}."),
    _column("duration_consistency_text_only", "durations kept, text only", "higher", "The same when nothing is heard."),
    _column("duration_consistency_codec", "durations kept, codec", "higher", "The same of the recording's own units."),
    _column("edit_changed_toward_donor", "edits toward the donor", "higher",
            "A middle word's tokens are swapped for those of another recording of the text, or of the clip itself at "
            "0.8 × speed: share of clips in which the word's duration moves toward the donor's, as tokens have it; "
            "where both last alike to 10 ms there is nothing to move."),
    _column("edit_carried", "edits: carried over", "higher",
            "How much of the difference the word takes over then, as tokens have it. Tokens that say nothing of "
            "durations move it toward a slower donor too, as the clip becomes longer, but by little."),
    _column("edit_others_ms", "edits: other words", "lower",
            "Mean change of the other words' durations then, as tokens have it.", "ms", ".1f"),
    _column("edit_units_toward_donor", "edits: units toward the donor", "higher",
            "Share of those clips in which the number of units that is said moves that way."),
    _column("edit_spoken_toward_donor", "edits toward the donor, spoken", "higher",
            "Share of clips whose word moves that way in the decoded speech, before and after, by pocketsphinx; where "
            f"it does not find the words, none moved. {_SPOKEN}."),
    _column("edit_spoken_others_ms", "edits: other words, spoken", "lower",
            "Mean change of the other words in that speech; units are drawn anew, so this is also what drawing "
            "changes.", "ms", ".1f"),
    USED,
    PERPLEXITY,
    ENTROPY,
)  # fmt: skip
MAIN = (
    "top1", "top5", "text_only_top1", "repeat_last_top1", "gain_over_text", "units_in_use", "alignment_error_ms",
    "wer", "wer_codec", "duration_consistency", "edit_carried", "edit_others_ms",
)  # fmt: skip
_ANCHORS: Mapping[str, tuple[str, Mapping[str, str]]] = {  # what each is, and which of the figures are its own
    "recording": ("the recording itself", {"wer": "wer_recording"}),
    "codec": (
        "the recording's own units, decoded: what predicting them could reach",
        {"wer": "wer_codec", "duration_consistency": "duration_consistency_codec"},
    ),
    "text only": (
        "control: the same model, which hears nothing",
        {"top1": "text_only_top1", "top5": "text_only_top5", "loss": "text_only_loss", "wer": "wer_text_only",
         "duration_consistency": "duration_consistency_text_only"},
    ),
    "repeat last": ("control: the unit before, once more", {"top1": "repeat_last_top1"}),
    "unigram": (
        "control: knows how often each unit occurs in these clips, and nothing else",
        {"top1": "majority_top1", "loss": "unigram_entropy"},
    ),
    "uniform": ("control: all units alike", {"loss": "uniform"}),
}  # fmt: skip


def anchors(figures: Mapping[str, Figure]) -> list[Entry]:
    """Controls and bounds as entries of their own.

    Args:
        figures: Of the tokenizer, theirs among them.
    """
    found = []
    for name, (note, keys) in _ANCHORS.items():
        own = {key: figures[where] for key, where in keys.items() if where in figures}
        if own:
            found.append(Entry(name=name, kind="anchor", family=name, note=note, figures=own))
    return found
