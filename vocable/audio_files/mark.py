"""Mark of synthetic speech: what the metadata of an audio file says of how a model made it."""

import json
import os
from contextlib import suppress
from dataclasses import dataclass
from importlib.metadata import version
from types import MappingProxyType
from typing import Literal

from vocable.audio_files.reader import read_comment

Use = Literal["text-to-speech", "voice conversion", "word editing", "generation"]

_SOURCE_TYPE = "http://cv.iptc.org/newscodes/digitalsourcetype/"
_CREATED = ("c2pa.created", _SOURCE_TYPE + "trainedAlgorithmicMedia")
_EDITED = ("c2pa.edited", _SOURCE_TYPE + "compositeWithTrainedAlgorithmicMedia")  # partly of a recording
_ACTIONS: MappingProxyType[str, tuple[str, str]] = MappingProxyType({
    "text-to-speech": _CREATED, "generation": _CREATED, "voice conversion": _EDITED, "word editing": _EDITED,
})  # fmt: skip
_MOST = 1 << 16  # characters of a comment that is read as a mark


@dataclass(frozen=True, kw_only=True)
class SyntheticMark:
    """Mark of speech that a model made, or changed beyond coding.

    Every format that is written has a comment, which holds the mark as a sentence and as JSON. The names in the JSON
    are those of C2PA's assertion of actions. It is not signed, and whoever encodes the file again can drop it.

    Attributes:
        use: Way in which the speech was made.
        model: Name of the model; "" where it has none.
        digest: Digest of the model.
        detail: Sentence on what was changed, in ASCII; "" for none.
        software: Name and version of the software; by default the installed vocable.

    Source:
        C2PA Technical Specification 2.1, section 18.14, actions; IPTC NewsCodes, digital source type.

    Example:
        >>> mark = SyntheticMark(use="generation", model="vqalattent-fsdd", digest="sha256:12", software="vocable 1")
        >>> print(mark.comment)
        Synthetic speech (generation) by vocable 1, model vqalattent-fsdd. {"claim_generator": "vocable 1", ...}
        >>> SyntheticMark.parse(mark.comment) == mark
        True
    """

    use: Use
    model: str = ""
    digest: str = ""
    detail: str = ""
    software: str = ""

    def __post_init__(self) -> None:
        if not self.software:
            object.__setattr__(self, "software", f"vocable {version('vocable')}")

    @classmethod
    def by(cls, tokenizer: object, use: Use, detail: str = "") -> "SyntheticMark":
        """Return the mark of what a tokenizer made, with its name and digest where it has them."""
        model, digest = (str(getattr(tokenizer, name, "") or "") for name in ("name", "digest"))
        return cls(use=use, model=model, digest=digest, detail=detail)

    @property
    def sentence(self) -> str:
        """Sentence that says what the file is."""
        model = f", model {self.model}" if self.model else ""
        return f"Synthetic speech ({self.use}) by {self.software}{model}. {self.detail}".rstrip()

    @property
    def comment(self) -> str:
        """Comment of the file, in ASCII: a sentence, and the mark as JSON."""
        action, source = _ACTIONS[self.use]
        parameters = {"use": self.use, "model": self.model, "digest": self.digest, "detail": self.detail}
        fields = {
            "claim_generator": self.software,
            "actions": [{"action": action, "digitalSourceType": source,
                         "parameters": {name: value for name, value in parameters.items() if value}}],
        }  # fmt: skip
        return f"{self.sentence} {json.dumps(fields)}".encode("ascii", "replace").decode()

    @classmethod
    def parse(cls, comment: str) -> "SyntheticMark | None":
        """Return the mark that a comment holds, or None."""
        start = comment.find("{")
        with suppress(ValueError, KeyError, IndexError, TypeError, AttributeError, RecursionError):
            fields = json.loads(comment[start : start + _MOST])
            (action,) = fields["actions"]
            parameters = {name: str(action["parameters"].get(name, "")) for name in ("model", "digest", "detail")}
            use = action["parameters"]["use"]
            if start >= 0 and use in _ACTIONS and action["digitalSourceType"].startswith(_SOURCE_TYPE):
                return cls(use=use, software=str(fields["claim_generator"]), **parameters)
        return None


def read_mark(path: str | os.PathLike[str]) -> SyntheticMark | None:
    """Return the mark of synthetic speech in an audio file's metadata; None where there is none.

    A file without a mark may be synthetic all the same: other software may have made it, or dropped the mark.

    Raises:
        AudioError: If the file cannot be opened.

    Example:
        >>> import tempfile
        >>> from dataclasses import replace
        >>> from vocable.testing import speechlike
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     replace(speechlike(8_000), mark=SyntheticMark(use="generation")).write(f"{folder}/a.flac")
        ...     read_mark(f"{folder}/a.flac").use
        'generation'
    """
    return SyntheticMark.parse(read_comment(path))
