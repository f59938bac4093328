"""Evaluation of codes and of voice conversion, as studies of the objective need it."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import ClassVar

from vocable.audio import Audio
from vocable.evaluate.card import Column
from vocable.evaluate.judges.find import find_optional_scorer
from vocable.evaluate.plan import Plan, select_clips
from vocable.evaluate.runner import ResultRow
from vocable.metrics.score import Score
from vocable.metrics.text import per
from vocable.tokens import Tokens
from vocable_lab.shared import voices
from vocable_lab.shared.codes import COLUMNS, Codes
from vocable_lab.shared.voices import draw_targets, score_similarity

_CONVERTED = "converted"
_PER = Column(
    key="per_after_conversion", title="PER after conversion", unit="%", better="lower", form=".1f",
    caption="Phones read from the codes of the converted speech: decoded in another speaker's voice, encoded again.",
)  # fmt: skip


class ConvertedCodes(Codes):
    """Evaluation of clips that are encoded, transcribed, and decoded in the voice of another speaker.

    Args:
        plan: Plan as that of :class:`~vocable_lab.shared.codes.Codes`, with a speaker judge.
        out: Folder in which the tokens of the clips are kept.

    Raises:
        AlignmentError: If no clip has phones.
        CheckpointError: If a tokenizer cannot be loaded.
    """

    columns: ClassVar[Sequence[Column]] = (*voices.COLUMNS, _PER, *COLUMNS)

    def __init__(self, plan: Plan, out: Path) -> None:
        super().__init__(plan, out)
        self.pairs = draw_targets(self.clips, list(select_clips(replace(plan, limit=None)).values()), plan.seed)
        self._encoder, self.left_out = find_optional_scorer("speaker", plan.scorers.speaker, "speaker similarity")

    def work(self, item: str) -> Sequence[ResultRow]:
        """Return a row for each tokenizer on a clip, with the figures of its conversion."""
        return [replace(row, scores={**row.scores, **self._convert(row.entry, item)}) for row in super().work(item)]

    def _convert(self, name: str, item: str) -> dict[str, Score]:
        if item not in self.pairs:
            return {}
        source, pair, tokenizer = Audio.read(self.clips[item].audio_path), self.pairs[item], self.tokenizers[name]
        tokens = Tokens.read(self._file(name, item))
        converted = tokenizer.decode(tokens, Audio.read(pair.voice.audio_path))
        reference = Audio.read(pair.reference.audio_path)
        scores = score_similarity(self._encoder, source, reference, {_CONVERTED: converted})[_CONVERTED]
        if phones := self.references.get(item):
            scores["per_after_conversion"] = per(phones, tokenizer.transcribe(tokenizer.encode(converted))).score()
        return scores
