"""Every reader of vocable with a sound file of its own, for the harness."""

import json
import secrets
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from tests.audio.test_pyav import encode as encode_by_av
from tests.corpus.corpora import make_tar
from tests.data.corpora.conftest import META, METADATA, sound
from tests.evaluate.test_runner import work_through
from tests.fuzz.harness import Reader
from tests.fuzz.mutations import bytes_of, json_of, lines_of, safetensors_of, shard_of, tokens_of, words_of
from tests.lab.listening.listening import build_test, record_all, rows_of, write_ratings
from tests.models import ready, ready_ctap, ready_speaker
from tests.vocoders.istft import network
from vocable.apps.catalog import _other
from vocable.audio import Audio, header_seconds
from vocable.audio_files.mark import SyntheticMark, read_mark
from vocable.corpus.archives import list_spans, read_span
from vocable.corpus.imports import import_tokens
from vocable.corpus.shard_format import FailedRow, ShardHeader, ShardRow
from vocable.corpus.shard_writer import write_shard
from vocable.corpus.speech import read_lines
from vocable.corpus.token_corpus import TokenCorpus
from vocable.corpus.work_plan import PlanHeader, make_plan, read_plan
from vocable.data.alignment.files import read_csv, read_ctm, read_textgrid
from vocable.data.alignment.record import alignment_of
from vocable.data.clip_files import ClipFiles
from vocable.data.corpora import find_corpus
from vocable.data.feature_packs import write_pack
from vocable.data.manifest import open_manifests, read_manifest
from vocable.data.targets import TargetCache
from vocable.errors import InputError
from vocable.evaluate.describe import describe, kind_of
from vocable.features.hub import from_transformers, read_tensors
from vocable.files import sha256, write_json
from vocable.folder import digest_of, system_of
from vocable.schema import to_json
from vocable.systems.guided import recipe as guided
from vocable.systems.named_voices import write_voices
from vocable.systems.registry import load
from vocable.testing import speechlike
from vocable.text.letters import LettersConfig, LettersNetwork, LettersToPhones
from vocable.text.lexicon import Lexicon
from vocable.text.ngram import read_arpa, train_ngram
from vocable.text.subword_tokenizers import BytePairTokenizer, HubTokenizer, subword_tokenizer_from_json
from vocable.text.word_model import WordModel
from vocable.tokens import Tokens, TokenSpec, pack
from vocable.train import checkpoint
from vocable.train.log import Log, read_rows
from vocable.train.record import read_record, schedules, start_steps
from vocable.train.resume import compare, next_environments, read_run, stored_recipe
from vocable.train.run import run_to_json
from vocable.train.settings import change_settings, parse_assignments, read_settings
from vocable.vocoders import IstftVocoder
from vocable.voices import round_voice
from vocable_lab.guided.teachers import _sentence
from vocable_lab.listening.analysis import analyze
from vocable_lab.listening.key import read_key
from vocable_lab.taste.diagnostics import _load
from vocable_lab.vqalattent.classifier import Classifier, ClassifierConfig

SPEC = TokenSpec(sample_rate=16_000, hop=320, codebook_size=20, num_codebooks=2)
SCHEMA = ("schema:read_json", "schema:read_object", "schema:read_utf8", "schema:_load", "files:read_file",
          "files:open_regular")  # fmt: skip
SAFETENSORS = ("folder:read_tensors", "folder:open_tensors")
AUDIO = ("audio_files.reader:open_audio", "audio_files.reader:_opened", "audio_files.pyav:open_file",
         "audio_files.pyav:_open", "corpus.files:_encode",
         "corpus.unit_encoder:UnitEncoder._encode_one",
         "evaluate.demo:_read_beginning")  # fmt: skip
MODEL = ("folder:read_model", "folder:system_of", *SAFETENSORS)


SOUNDS = (".wav", ".flac", ".ogg", ".mp3", ".aiff", ".au", ".w64", ".caf", ".rf64", ".m4a", ".webm", ".mka")


def _json(folder: Path, name: str, values: object) -> None:
    (folder / name).parent.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text(json.dumps(values), encoding="utf-8")


# ---- tokens, audio, texts -------------------------------------------------------------------------------------------


def _make_tokens(folder: Path, voice_levels: int | None = None) -> None:
    rng = torch.Generator().manual_seed(0)
    Tokens(
        ids=torch.randint(20, (2, 2, 9), generator=rng) * (torch.arange(9) < torch.tensor([[9], [4]]))[:, None],
        lengths=torch.tensor([9, 4]), samples=torch.tensor([2880, 1201]), spec=SPEC, tokenizer="sha256:ab",
        text=("good morning", None), voice=round_voice(torch.randn(2, 3, generator=rng), voice_levels),
        voice_levels=voice_levels,
    ).write(folder / "a.tokens")  # fmt: skip


def _read_tokens(folder: Path) -> object:
    tokens = Tokens.read(folder / "a.tokens")
    voice = None if tokens.voice is None else tokens.voice.tolist()
    return tokens.ids.tolist(), tokens.lengths.tolist(), tokens.samples.tolist(), tokens.text, voice, tokens.spec


def _make_shard(folder: Path, voice_levels: int | None = None) -> None:
    rng = torch.Generator().manual_seed(0)
    header = ShardHeader(sample_rate=16_000, hop=320, codebook_size=20, num_codebooks=2, tokenizer="sha256:ab",
                         model="a", settings={"levels": 2}, voice_width=3, voice_levels=voice_levels)  # fmt: skip
    rows = [
        (
            ShardRow(id=f"{clip}.wav", audio="0" * 64, text="good morning", extra={"digit": clip}),
            Tokens(
                ids=torch.randint(20, (1, 2, 9 + 300 * clip), generator=rng), lengths=torch.tensor([9 + 300 * clip]),
                samples=torch.tensor([2880]), spec=SPEC, tokenizer="sha256:ab",
                voice=round_voice(torch.randn(1, 3, generator=rng), voice_levels), voice_levels=voice_levels,
            ),
        )
        for clip in range(2)
    ]  # fmt: skip
    failure = FailedRow(id="b.wav", kind="AudioError", reason="it is empty")
    write_shard(folder / "a.shard", rows, header, [failure])


def _read_shard(folder: Path) -> object:
    shard = TokenCorpus.open(folder).shard(0)
    frames = shard.all_ids().tolist()
    clips = [pack(shard.tokens(number)) for number in range(len(shard))]
    return frames, clips, [to_json(row) for row in (*shard.rows(), *shard.failed)]


def _make_plan(folder: Path) -> None:
    (folder / "in").mkdir()
    speechlike(900).write(folder / "in/a.wav")
    make_plan(folder, [folder / "in"], PlanHeader(plan=1, tokenizer="sha256:ab"), say=lambda line: None)


def _read_plan(folder: Path) -> object:
    plan = read_plan(folder)
    assert plan is not None
    return [(unit.name, len(unit), [source.id for source in unit.sources]) for unit in plan.units]


def _make_tar(folder: Path) -> None:
    speechlike(900).write(folder / "a.wav")
    audio = (folder / "a.wav").read_bytes()
    (folder / "a.wav").unlink()
    make_tar(folder / "a.tar", [("0.wav", audio), ("0.txt", b"good"), ("1.wav", audio), ("1.json", b'{"digit": 3}')])


def _read_tar(folder: Path) -> object:
    with suppress(InputError):
        for span, _ in list_spans(folder / "a.tar", 0.04, 3):
            with suppress(InputError):
                list(read_span(span))
    return None


def _make_sound(suffix: str, folder: Path) -> None:
    path, clip = folder / f"a{suffix}", speechlike(3_000, 16_000)
    if suffix in (".m4a", ".webm", ".mka"):
        encode_by_av(path, clip)
    else:
        soundfile.write(path, clip.samples, clip.sample_rate, format=suffix[1:].upper())


def _read_sound(folder: Path) -> object:
    (path,) = folder.iterdir()
    header_seconds(path)
    return Audio.read(path, 8_000).samples.tobytes()


LINES = [
    {"audio_path": "a.flac", "text": "good morning", "speaker": "s1", "split": "train", "duration": 0.5,
     "alignment": [["SIL", 0, 0.1], ["AY", 0.1, 0.5]], "phones": [["G", "UH1", "D"]], "phone_marks": [[0.0, "G"]]},
    {"audio_path": "b.flac", "text": None, "digit": 4, "emotion": "anger"},
    {"audio_path": "c.flac", "split": "test"},
]  # fmt: skip


def _make_manifest(folder: Path) -> None:
    (folder / "m.jsonl").write_text("".join(json.dumps(line) + "\n" for line in LINES))


def _read_manifest(folder: Path) -> object:
    from vocable.evaluate.probes.frame import phone_marks
    from vocable.evaluate.probes.sequence import phones_of

    lines = read_manifest(folder / "m.jsonl")
    for line in lines:
        for part in (alignment_of, phones_of, phone_marks):
            part(line)
    assert [line.audio_path for line in open_manifests([folder / "m.jsonl"])] == [line.audio_path for line in lines]
    return [line.value("digit") for line in lines]


def _make_imports(folder: Path) -> None:
    np.save(folder / "a.npy", np.arange(12).reshape(2, 6))
    (folder / "b.json").write_text('{"x": [[1, 2], [3, 4]], "y": [[5], [6]]}')
    lines = [{"key": "k", "code": [[1, 2], [3, 4]], "text": "hi"}, {"id": "l", "ids": [[1], [2]]}]
    (folder / "c.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))


def _read_imports(folder: Path) -> object:
    out = folder / f"out{secrets.token_hex(4)}"
    spec = TokenSpec(sample_rate=16_000, hop=320, codebook_size=20, num_codebooks=2)
    inputs = [folder / name for name in ("a.npy", "b.json", "c.jsonl")]
    count, failed = import_tokens(inputs, out, spec, "others")
    return count, len(failed)


def _make_pack(folder: Path) -> None:
    clip = sound(folder / "a.wav")
    TargetCache(_Loud(), folder / "cache")
    target = _Loud().extract(Audio.read(clip)).half()
    write_pack(folder / "cache" / "000000.safetensors", {sha256(clip): target}, _Loud.digest, {"b.wav": "it is empty"})


def _make_clips(folder: Path) -> None:
    for name, rate in (("a.wav", 8_000), ("b.ogg", 16_000)):
        speechlike(3_000, rate).write(folder / name)
    _read_clips(folder)


def _read_clips(folder: Path) -> object:
    clips = ClipFiles([str(folder / name) for name in ("a.wav", "b.ogg")], 8_000, folder=folder / "cache", check=True)
    return [clips.read(index, 100, 900).tobytes() for index in range(2) if index not in clips.errors]


def _make_marked(folder: Path) -> None:
    mark = SyntheticMark(use="word editing", model="m", digest="sha256:1", detail="Words 1 to 2.")
    replace(speechlike(400, 8_000), mark=mark).write(folder / "a.flac")


TEXTGRID = """File type = "ooTextFile"
Object class = "TextGrid"

xmin = 0
xmax = 0.5
tiers? <exists>
size = 1
item []:
    item [1]:
        class = "IntervalTier"
        name = "phones"
        xmin = 0
        xmax = 0.5
        intervals: size = 2
        intervals [1]:
            xmin = 0
            xmax = 0.2
            text = ""
        intervals [2]:
            xmin = 0.2
            xmax = 0.5
            text = "AY1"
"""


def _text(name: str, content: str) -> Callable[[Path], object]:
    return lambda folder: (folder / name).write_text(content, encoding="utf-8")


# ---- models ---------------------------------------------------------------------------------------------------------


def mend_model(folder: Path) -> None:
    """Give a model the digest of what it holds, if that can be told."""
    try:
        card = json.loads((folder / "model.json").read_bytes())
        card["digest"] = digest_of(card["config"], load_file(folder / "model.safetensors"))
        (folder / "model.json").write_text(json.dumps(card))
    except (OSError, ValueError, LookupError, TypeError, AttributeError, SafetensorError, RecursionError):
        pass  # it is past mending


def _model(make: Callable[[Path], object], read: Callable[[Path], object], *covers: str) -> Reader:
    return Reader(
        make=make, read=read, mend=mend_model, exact=True, covers=(*MODEL, *covers),
        mutations=(
            ("model.*", bytes_of), ("model.json", json_of), ("model.json", json_of),
            ("model.safetensors", safetensors_of),
        ),
    )  # fmt: skip


def _digest(folder: Path) -> object:
    system_of(folder)
    return load(folder).digest


def _make_letters(folder: Path) -> None:
    torch.manual_seed(0)
    LettersToPhones(LettersNetwork(LettersConfig(width=8))).save(folder)


class _Encoder:
    """Stands for a Whisper that nobody asks for anything."""

    digest, width, name = "sha256:none", 8, "none"

    @property
    def spec(self) -> Any:
        raise AssertionError("nobody asks for it")


def _read_letters(folder: Path) -> object:
    model = LettersToPhones.load(folder)
    return model.phones("cat")


def _make_voices(folder: Path) -> None:
    tokenizer = ready_ctap()
    tokenizer.save(folder)
    write_voices(folder, {"ann": tokenizer.voice_of(speechlike(16_000, 8_000))}, tokenizer.digest)


def _make_words(folder: Path) -> None:
    words = ["good", "morning", "world"]
    WordModel({word: [word.upper()] for word in words}, train_ngram(["good morning world", "good world"])).save(folder)


def _read_words(folder: Path) -> object:
    model = WordModel.load(folder)
    return model.spellings, round(model.lm.cross_entropy(["good morning"]), 9)


def _make_arpa(folder: Path) -> None:
    (folder / "a.arpa").write_text(
        "\\data\\\nngram 1=3\n\n\\1-grams:\n-99 <s> -.3\n-.6 </s>\n-.5 a -.2\n\n\\2-grams:\n-.3 <s> a\n\n\\end\\\n"
    )


def _read_arpa(folder: Path) -> object:
    model = read_arpa(folder / "a.arpa")
    return model.vocabulary, model.cross_entropy(["a a"])


def _make_classifier(folder: Path) -> None:
    torch.manual_seed(0)
    image = ready_speaker().config.image
    config = ClassifierConfig(image=image, key="digit")
    Classifier(config).save(folder)


# ---- runs -----------------------------------------------------------------------------------------------------------


class Counter(nn.Module):
    """A weight, a bias and a buffer of whole numbers."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(2, 3)
        self.register_buffer("seen", torch.tensor(7))


def _parts() -> tuple[dict[str, nn.Module], dict[str, torch.optim.Optimizer]]:
    torch.manual_seed(0)
    part = Counter()
    optimizer = torch.optim.AdamW(part.parameters(), lr=0.1)
    part.layer(torch.ones(1, 2)).square().sum().backward()
    optimizer.step()
    optimizer.zero_grad()
    return {"first": part}, {"first": optimizer}


def _make_checkpoint(folder: Path) -> None:
    checkpoint.save(folder, 8, *_parts(), lambda hidden: (hidden / "model.bin").write_bytes(bytes(64)))


def _read_checkpoint(folder: Path) -> object:
    (parts, optimizers) = _parts()
    step = checkpoint.restore(folder / "step-00000008", parts, optimizers)
    parts["first"].layer(torch.ones(1, 2)).square().sum().backward()
    optimizers["first"].step()  # what was restored can be used
    return step, [value.tolist() for value in parts["first"].state_dict().values()]


def mend_checkpoint(folder: Path) -> None:
    """Give a checkpoint the digests of its files, if its list of files can be told."""
    place = folder / "step-00000008"
    try:
        seal = json.loads((place / "training.json").read_bytes())
        for name in list(seal["files"]):
            seal["files"][name] = checkpoint.sha256(place / name)
        (place / "training.json").write_text(json.dumps(seal))
    except (OSError, ValueError, LookupError, TypeError, AttributeError, RecursionError):
        pass


def _settings() -> dict[str, Any]:
    data = [{"path": "a.jsonl", "sha256": "5e"}]
    return {"format": 2, "recipe": "guided-tiny", **run_to_json(guided.tiny()), "data": data, "split": "train",
            "start": None, "init": None, "teachers": {"acoustic": {"name": "a", "digest": "b"}},
            "environment": {"threads": 1}, "resumed": [{"step": 2, "environment": {"threads": 2}}]}  # fmt: skip


def _make_run(folder: Path) -> None:
    _json(folder, "run.json", _settings())
    rows = [{"step": step, "seconds": 1.0, "generator/total": 2.0 / step, "usage": [0.5, 0.25]} for step in (1, 2, 4)]
    (folder / "log.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))


def _read_run(folder: Path) -> object:

    record = read_record(folder)
    schedules(record.values), start_steps(record.values)
    stored, settings = read_run(folder) or {}, json.loads(json.dumps(_settings()))
    compare(stored, settings, folder / "run.json", allow_changes=True)
    next_environments(stored, settings, 3)
    stored_recipe(stored, "guided-tiny", folder)
    from contextlib import suppress

    from vocable.errors import CheckpointError

    with suppress(CheckpointError):  # it has no checkpoint yet
        describe(str(folder))
    log = Log(folder, steps=4, start=2, quiet=True)
    read_rows(folder)
    log.write(3, {"generator/total": 1.0})
    log.close()
    return record.steps


def _draw_run(folder: Path) -> object:
    from vocable.evaluate.draw import draw

    return [name for name, _ in draw(str(folder))]


def _make_settings(folder: Path) -> None:
    (folder / "s.toml").write_text("losses.quantize_from = 3\n[train]\nsteps = 7\nbetas = [0.8, 0.9]\n")
    (folder / "s.yaml").write_text("train:\n  steps: 7\n  betas: [0.8, 0.9]\nmodel.codebook_size: 32\n")


def _read_settings(folder: Path) -> object:
    run = guided.tiny()
    for name in ("s.toml", "s.yaml"):
        run = change_settings(run, read_settings(run, folder / name))
    assignments = (folder / "s.yaml").read_text(errors="replace").replace(": ", "=").splitlines()[-1:]
    return change_settings(run, parse_assignments(run, assignments)).train.steps


def _make_results(folder: Path) -> None:
    work_through(folder, 4)


def _read_results(folder: Path) -> object:
    results = work_through(folder, 4)
    return [(row.item, row.entry, row.scores["square"], row.extra) for row in results.rows], results.quarantined


# ---- caches, hubs, listening tests ----------------------------------------------------------------------------------


class _Loud:
    """Computes how loud each hundredth of a second is."""

    name, digest, sample_rate, frame_rate, width = "loud", "sha256:1", 8_000, 100.0, 1

    def extract(self, clip: Audio) -> Tensor:
        return torch.from_numpy(clip.samples[: clip.samples.size // 80 * 80]).reshape(-1, 80).abs().mean(1)[:, None]


def _make_targets(folder: Path) -> None:
    clip = sound(folder / "a.wav")
    TargetCache(_Loud(), folder / "cache").store(clip, Audio.read(clip))


def _make_refusal(folder: Path) -> None:
    write_json(folder / "a.refused.json", {"reason": "too quiet"})


def _read_refusal(folder: Path) -> object:
    return TargetCache(_Loud(), folder / "cache").refusal(folder / "a.safetensors")


def _read_targets(folder: Path) -> object:
    cache_ = TargetCache(_Loud(), folder / "cache")
    file = cache_.store(folder / "a.wav", Audio.read(folder / "a.wav"))
    return cache_.frames(file, 0, 5).tolist(), cache_.all_frames(file).tolist()


def _make_test(folder: Path) -> None:
    test = build_test(record_all(folder / "sounds"), folder / "test.html")
    key = read_key(test.key)
    rows = [row for rater in ("ann", "bob") for row in rows_of(key, dict.fromkeys(
        {one.system for one in key.stimuli.values()}, 50.0) | {"reference": 95.0}, rater)]  # fmt: skip
    write_ratings(folder / "ratings.csv", rows)
    for other in [*(folder / "sounds").rglob("*.wav"), folder / "test.html"]:
        other.unlink(missing_ok=True)
    test.key.rename(folder / "test.key.json")


def _read_test(folder: Path) -> object:
    opinions = analyze([folder / "ratings.csv"], folder / "test.key.json")
    return opinions.to_json(), opinions.to_markdown()


def _make_subwords(folder: Path) -> None:
    from tokenizers import Tokenizer
    from tokenizers.models import BPE

    Tokenizer(BPE(vocab={"a": 0, "b": 1, "ab": 2}, merges=[("a", "b")])).save(str(folder / "tokenizer.json"))


def _make_own_subwords(folder: Path) -> None:
    _json(folder, "s.json", BytePairTokenizer.train(["banana bandana", "ban"], 40).to_json())


def _read_own_subwords(folder: Path) -> object:
    from vocable.errors import CheckpointError
    from vocable.schema import read_object

    tokenizer = subword_tokenizer_from_json(read_object(folder / "s.json", error=CheckpointError))
    return tokenizer.tokenize("banana ban")


def _make_tensors(folder: Path) -> None:
    save_file({"frames": torch.ones(3, 2).half(), "units": torch.arange(3)}, folder / "a.safetensors")
    torch.save({"frames": torch.ones(3, 2), "step": 3}, folder / "a.pt")


def _read_both(folder: Path) -> object:
    _load(folder / "a.safetensors")
    return [read_tensors(folder / name) for name in ("a.safetensors", "a.pt")] and None


def _corpus(name: str, folder: Path) -> object:
    out = find_corpus(name)(folder, folder / "out", say=lambda line: None)
    return out.read_text()


def _make_fsdd(folder: Path) -> None:
    for speaker in ("george", "jackson", "theo"):
        for take in (0, 6):
            sound(folder / "recordings" / f"0_{speaker}_{take}.wav")
    (folder / "metadata.py").write_text(METADATA)


def _make_mnist(folder: Path) -> None:
    for speaker in ("01", "02", "03", "04"):
        sound(folder / "data" / speaker / f"0_{speaker}_0.wav", 48_000)
    _json(folder, "data/audioMNIST_meta.txt", META)


def _make_folder(folder: Path) -> None:
    for name in ("a", "b", "c", "d"):
        sound(folder / "clips" / f"{name}.wav")
    (folder / "clips" / "a.txt").write_text("good morning\n")
    (folder / "metadata.csv").write_text("clips/b|Printing, in 1899|Printing, in eighteen ninety nine\n")
    (folder / "train.tsv").write_text("path\tsentence\tclient_id\nclips/c.wav\twhat is this\ts1\n")


def _make_librispeech(folder: Path) -> None:
    chapter = folder / "dev-clean" / "84" / "121123"
    sound(chapter / "84-121123-0000.flac", 16_000)
    (chapter / "84-121123.trans.txt").write_text("84-121123-0000 GO DO YOU HEAR\n")
    (folder / "SPEAKERS.TXT").write_text("; head\n84 | F | dev-clean | 8.02 | Christie Nowak\n")


def _make_hub(folder: Path) -> None:
    config = {"model_type": "hubert", "hidden_size": 8, "num_attention_heads": 2, "num_hidden_layers": 1,
              "intermediate_size": 8, "conv_dim": [4], "conv_kernel": [3], "conv_stride": [2]}  # fmt: skip
    _json(folder, "config.json", config)


def _make_teachers(folder: Path) -> None:
    ready("spectral").save(folder)
    _json(folder, "teachers.json", {"acoustic": {"name": "resemblyzer", "digest": "sha256:1"}})


def _read_teachers(folder: Path) -> object:
    return _sentence("guided", folder)


READERS: dict[str, Reader] = {
    "tokens of quantized voices": Reader(
        partial(_make_tokens, voice_levels=13), _read_tokens, [("*", bytes_of), ("*", tokens_of), ("*", tokens_of)],
        ("tokens:Tokens.read",), exact=True,
    ),
    "token shard of quantized voices": Reader(
        partial(_make_shard, voice_levels=13), _read_shard, [("*", bytes_of), ("*", shard_of), ("*", shard_of)],
        ("corpus.shard:TokenShard.open",), exact=True,
    ),
    "tokens": Reader(
        _make_tokens, _read_tokens, [("*", bytes_of), ("*", tokens_of), ("*", tokens_of)],
        ("tokens:Tokens.read", "evaluate.describe:kind_of"), exact=True,
    ),
    "token shard": Reader(
        _make_shard, _read_shard, [("*", bytes_of), ("*", shard_of), ("*", shard_of)],
        ("corpus.shard:TokenShard.open", "corpus.token_corpus:TokenCorpus.shard", "corpus.merge:merge_corpora",
         "corpus.unit_work:_open", "corpus.tokenize:_summarize", "corpus.verify:verify_corpus"), exact=True,
    ),
    "corpus plan": Reader(
        _make_plan, _read_plan, [("plan-*", bytes_of), ("plan-*", lines_of)], ("corpus.work_plan:read_plan",),
    ),
    "tar": Reader(
        _make_tar, _read_tar, [("*", bytes_of)], ("corpus.tar_files:_opened_tar", "corpus.tar_files:_add_file"),
    ),
    "inspected tokens": Reader(
        _make_tokens, lambda folder: str(describe(str(folder / "a.tokens"))), [("*", bytes_of), ("*", tokens_of)],
        ("evaluate.describe:kind_of",),
    ),
    **{
        f"audio{suffix}": Reader(
            partial(_make_sound, suffix), _read_sound, [("*", bytes_of)], AUDIO,
        )
        for suffix in SOUNDS
    },
    "inspected audio": Reader(
        partial(_make_sound, ".wav"), lambda folder: (kind_of(str(folder / "a.wav")), describe(str(folder / "a.wav"))),
        [("*", bytes_of)], ("evaluate.describe:kind_of",),
    ),
    "manifest": Reader(
        _make_manifest, _read_manifest, [("*", bytes_of), ("*", lines_of), ("*", lines_of)],
        ("data.manifest:_parse", "data.manifest:_Lines.utterance", "schema:read_lines", *SCHEMA),
    ),
    "textgrid": Reader(
        _text("a.TextGrid", TEXTGRID), lambda folder: read_textgrid(folder / "a.TextGrid").values(),
        [("*", bytes_of), ("*", words_of)], ("data.alignment.files:_read",),
    ),
    "ctm": Reader(
        _text("a.ctm", ";; head\na 1 0.0 0.25 HH 0.9\na 1 0.25 0.25 AY\nb 1 0.1 0.2 sil\n"),
        lambda folder: {name: one.values() for name, one in read_ctm(folder / "a.ctm").items()},
        [("*", bytes_of), ("*", words_of)], ("data.alignment.files:_read",),
    ),
    "csv": Reader(
        _text("a.csv", 'utterance,start,end,symbol\na,0.0,0.25,HH\na,0.25,0.5,"AY"\n'),
        lambda folder: {name: one.values() for name, one in read_csv(folder / "a.csv").items()},
        [("*", bytes_of), ("*", words_of)], ("data.alignment.files:_read", "data.alignment.files:_rows"),
    ),
    "lexicon": Reader(
        _text("a.dict", ";;; head\ncat K AE1 T\nread R IY1 D\nread(2) R EH1 D # past\n"),
        lambda folder: Lexicon.read(folder / "a.dict").words, [("*", bytes_of), ("*", words_of)],
        ("text.lexicon:Lexicon.read",),
    ),
    "texts": Reader(
        _text("a.txt", "good morning\n\nwhat is this?\n"), lambda folder: read_lines(folder / "a.txt"),
        [("*", bytes_of), ("*", words_of)], ("corpus.speech:read_lines",),
    ),
    "guided": _model(lambda folder: ready("spectral").save(folder), _digest, "systems.base:BaseTokenizer._read",
                     "systems.registry:_find"),
    "seanet": _model(lambda folder: ready("seanet").save(folder), _digest),
    "vqalattent": _model(lambda folder: ready_speaker().save(folder), _digest),
    "ctap": _model(lambda folder: ready_ctap().save(folder), _digest),
    "voices": Reader(
        _make_voices, lambda folder: {name: one.tolist() for name, one in load(folder).voices.items()},
        [("voices.safetensors", bytes_of), ("voices.safetensors", safetensors_of)],
        ("systems.named_voices:read_voices",),
    ),
    "vocoder": _model(
        lambda folder: IstftVocoder(network()).save(folder), lambda folder: IstftVocoder.load(folder).digest,
        "vocoders.istft:IstftVocoder.load",
    ),
    "words": _model(_make_words, _read_words, "text.word_model:WordModel.load"),
    "ARPA language model": Reader(_make_arpa, _read_arpa, [("*", bytes_of), ("*", words_of)], ()),
    "letters": _model(_make_letters, _read_letters, "text.letters:LettersToPhones.load"),
    "classifier": _model(
        _make_classifier, lambda folder: Classifier.load(folder).config,
        "vocable_lab.vqalattent.classifier:Classifier.load",
    ),
    "checkpoint": Reader(
        _make_checkpoint, _read_checkpoint,
        [("*.*", bytes_of), ("training.json", json_of), ("training.safetensors", safetensors_of)],
        ("train.checkpoint:restore", "train.checkpoint:verify"), mend=mend_checkpoint, exact=True,
    ),
    "settings": Reader(
        _make_settings, _read_settings, [("*.toml", bytes_of), ("*.toml", words_of), ("*.yaml", bytes_of),
                                         ("*.yaml", words_of)],
        ("train.settings:read_settings", "train.settings:_parse_value"),
    ),
    "run": Reader(
        _make_run, _read_run, [("*", bytes_of), ("run.json", json_of), ("run.json", json_of), ("log.jsonl", lines_of)],
        ("train.record:read_record", "train.record:parse_log_line", "train.resume:read_run", "train.log:read_rows",
         "train.log:Log.__init__"),
    ),
    "drawn run": Reader(
        _make_run, _draw_run, [("run.json", json_of), ("log.jsonl", lines_of)], ("train.record:read_record",),
        share=0.05,
    ),
    "results": Reader(
        _make_results, _read_results, [("results.jsonl", bytes_of), ("results.jsonl", lines_of), ("run.json", json_of)],
        ("evaluate.runner:_read_finished", "evaluate.runner:_parse_line", "evaluate.runner:_claim_folder"), exact=True,
    ),
    "targets": Reader(
        _make_targets, _read_targets,
        [("*.safetensors", bytes_of), ("teacher.json", json_of), ("*.safetensors", safetensors_of)],
        ("data.targets:TargetCache.__init__", "data.targets:TargetCache._opened", *SAFETENSORS),
    ),
    "refusals": Reader(
        _make_refusal, _read_refusal, [("*.json", bytes_of), ("*.json", json_of)],
        ("data.targets:TargetCache.refusal",),
    ),
    "packs of targets": Reader(
        _make_pack, _read_targets, [("000000.safetensors", bytes_of), ("000000.safetensors", safetensors_of)],
        ("data.feature_packs:FeaturePack.__init__", *SAFETENSORS),
    ),
    "tokens of others": Reader(
        _make_imports, _read_imports, [("*.*", bytes_of), ("*.json", json_of), ("*.jsonl", lines_of)],
        ("corpus.imports:_load_array", "corpus.imports:_read_json", "corpus.imports:_read_lines"),
    ),
    "clips on disk": Reader(
        _make_clips, _read_clips, [("*.safetensors", bytes_of), ("*.safetensors", safetensors_of), ("*.s16", bytes_of),
                                   ("*.wav", bytes_of)],
        ("data.clip_files:ClipFiles._find_unknown", "data.clip_files:_read_16_bit", "audio_files.reader:read_range",
         *SAFETENSORS),
    ),
    "marks": Reader(
        _make_marked, lambda folder: read_mark(folder / "a.flac"), [("*.flac", bytes_of)],
        ("audio_files.mark:SyntheticMark.parse", "audio_files.reader:read_comment"),
    ),
    "listening test": Reader(
        _make_test, _read_test, [("*", bytes_of), ("*.json", json_of), ("*.csv", words_of)],
        ("vocable_lab.listening.key:read_key", "vocable_lab.listening.analysis:_read_rows"),
    ),
    "subwords of others": Reader(
        _make_subwords, lambda folder: HubTokenizer.load(str(folder), "lower").tokenize("ab a"),
        [("*", bytes_of), ("*", json_of)], ("text.subword_tokenizers:HubTokenizer.load",),
    ),
    "subwords": Reader(_make_own_subwords, _read_own_subwords, [("*", bytes_of), ("*", json_of)], SCHEMA),
    "tensors": Reader(
        _make_tensors, _read_both, [("*", bytes_of), ("a.safetensors", safetensors_of)],
        ("features.hub:read_tensors", "vocable_lab.taste.diagnostics:_load", *SAFETENSORS),
    ),
    "fsdd": Reader(
        _make_fsdd, partial(_corpus, "fsdd"),
        [("metadata.py", bytes_of), ("metadata.py", words_of), ("*.wav", bytes_of)],
        ("data.corpora.fsdd:_speakers",),
    ),
    "audiomnist": Reader(
        _make_mnist, partial(_corpus, "audiomnist"), [("*.txt", bytes_of), ("*.txt", json_of)],
        ("data.corpora.audiomnist:prepare",),
    ),
    "folder": Reader(
        _make_folder, partial(_corpus, "folder"), [("*.*sv", bytes_of), ("*.*sv", words_of), ("*.txt", words_of)],
        ("data.corpora.transcripts:_read", "data.corpora.transcripts:_rows"),
    ),
    "librispeech": Reader(
        _make_librispeech, partial(_corpus, "librispeech"),
        [("*.txt", bytes_of), ("*.txt", words_of), ("*.TXT", words_of)], ("data.corpora.recordings:read_lines",),
    ),
    "hub": Reader(
        _make_hub, lambda folder: (_other("a", folder), from_transformers(str(folder), "AutoConfig").model_type),
        [("*", bytes_of), ("*", json_of)], ("apps.catalog:_other", "features.hub:fetch"),
    ),
    "teachers": Reader(
        _make_teachers, _read_teachers, [("teachers.json", bytes_of), ("teachers.json", json_of)],
        ("vocable_lab.guided.teachers:_sentence",),
    ),
}  # fmt: skip
"""Readers by name."""

ELSEWHERE: dict[str, str] = {
    "files:sha256": "any bytes have a digest",
    "files:_sync": "opens a file that was just written",
    "files:append_bytes": "opens a file to write it",
    "audio_files.writer:write_audio": "opens a file to write it",
    "notebook:player_html": "opens memory to write it",
    "apps.catalog:_bundled": "reads the package's own files, as apps.catalog:_other those of others",
    "cli.evaluate:tokenizers": "prints a report that was just written",
    "evaluate.canvas:_follow_dark_mode": "reads the package's own style sheet",
    "evaluate.page.__init__:encode_flac": "reads a file that was just written",
    "locks:_open_locked": "opens a file to write it",
    "locks:is_claimed": "asks for the lock of a file, and reads nothing",
    "data.feature_packs:is_being_packed": "compares any text with names",
    "locks:_read_holder": "shows at most 200 characters of any text",
    "evaluate.runner:_run_locked": "brings its own settings into the form that they have in a file",
    "text.subword_tokenizers:BytePairTokenizer.train": "reads what the package tokenizers returns",
    "data.alignment.ctc:CtcAligner.load": "folder:read_model, as every model; needs a Whisper",
    "vocable_lab.vqalattent.classifier:find_classifier": "schema:read_json of a line of text",
    "corpus.memory:_status": "reads what the kernel says of this process",
    "corpus.parquet_files:_opened_parquet": "a file of others, read by pyarrow, which checks it",
    "cli.corpus:stats": "corpus.shard:TokenShard.open, of each shard",
    "cli.corpus:export": "corpus.shard:TokenShard.open, of each shard",
    "data.corpora.libritts:prepare": "data.corpora.recordings:read_lines",
    "data.corpora.vctk:prepare": "data.corpora.recordings:read_lines",
    "systems.cosyvoice:_read_state": "features.hub:read_tensors, then names and shapes are checked",
    "vocable_lab.study:_Evaluator._cost": "schema:read_object of a file that it has just written",
    "features.ecapa:EcapaTdnn.load": "features.hub:read_tensors, then a strict load_state_dict",
    "features.ge2e:_read_weights": "features.hub:read_tensors, then a strict load_state_dict",
    "features.distillmos:_read_weights": "features.hub:read_tensors, then a strict load_state_dict",
    "features.whisper:WhisperEncoder.load": "features.hub:read_tensors, then a strict load_state_dict",
    "features.s3:_session": "a graph of others is run by ONNX Runtime, which checks it",
    "evaluate.judges.moonshine:MoonshineRecognizer.__init__": "graphs of a package, run by ONNX Runtime",
    "evaluate.judges.moonshine:_files_of": "any bytes have a digest",
    "evaluate.judges.quality:_load_dnsmos": "a graph of a package, run by ONNX Runtime",
    "evaluate.codecs.neural:_load_tflite": "a graph of others, run by TensorFlow Lite",
    "evaluate.codecs.neural:_open": "a network of others, read by transformers",
    "systems.cosyvoice:CosyVoiceDecoder._model": "a network of others, read by the package cosyvoice",
}
"""Functions that open files and are not mutated, with the reason."""
