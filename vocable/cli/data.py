"""``vocable data``: prepare corpora, align manifests, and compute the features of teachers."""

from pathlib import Path
from typing import Annotated, Any

import typer

from vocable.cli.command import Command, Group
from vocable.cli.options import Count, Device, Overwrite, SeedNumber, number

app = typer.Typer(
    cls=Group, help="Write manifests of corpora, add alignments to manifests, and compute features of teachers.",
    no_args_is_help=True,
)  # fmt: skip


@app.command("prepare", cls=Command, no_args_is_help=True)
def prepare(
    corpus: Annotated[
        str,
        typer.Argument(
            help="folder, for recordings of your own, or a corpus: audiomnist, fsdd, digit_strings, librispeech, "
            "libritts, vctk, ljspeech, aishell3."
        ),
    ],
    source: Annotated[Path, typer.Argument(help="Folder of the recordings; for digit_strings a manifest.")],
    out: Annotated[Path, typer.Option(help="Folder for manifest.jsonl and for cut audio.")],
    split: Annotated[
        str | None,
        typer.Option(help="'speaker', 'random' or 'official', as far as the corpus can be split so."),
    ] = None,
    texts: Annotated[
        list[Path] | None,
        typer.Option(help="For folder: CSV or TSV with names and texts. Default: those found in it. Repeatable."),
    ] = None,
    speaker: Annotated[
        str | None,
        typer.Option(help="For folder: regular expression whose first group in a path is the speaker."),
    ] = None,
    seed: Annotated[int, typer.Option(parser=SeedNumber, metavar="N", help="Seed of the split.")] = 0,
    overwrite: Overwrite = False,
) -> None:
    """Write the manifest of a published corpus, or of a folder of recordings.

    Files that cannot be used are named and left out. With --split speaker, no speaker is in two splits: train has .8 of
    the speakers, dev and test .1 each. See docs/tutorial.md for recordings of your own.
    """
    from vocable.data.corpora import find_corpus
    from vocable.errors import ConfigError

    options: dict[str, Any] = {"split": split, "texts": texts or None, "speaker": speaker}
    options = {name: value for name, value in options.items() if value is not None}
    if corpus != "folder" and (unknown := options.keys() & {"texts", "speaker"}):
        raise ConfigError(f"--{sorted(unknown)[0]} is for recordings of your own: vocable data prepare folder")
    _say(str(find_corpus(corpus)(source, out, seed=seed, say=_say, **options)))


@app.command("align", cls=Command, no_args_is_help=True)
def align(
    manifest: Annotated[
        Path, typer.Argument(help="Manifest whose lines have 'phones', a list of ARPAbet per word, or English 'text'.")
    ],
    out: Annotated[Path, typer.Option(help="Manifest to write.")],
    aligner: Annotated[str, typer.Option(help="pocketsphinx, hama, or ctc on a Whisper encoder.")] = "pocketsphinx",
    whisper: Annotated[str | None, typer.Option(help="For ctc: folder or hub name of the encoder.")] = None,
    head: Annotated[Path | None, typer.Option(help="For ctc: folder of the head, which is trained if missing.")] = None,
    seed: Annotated[int, typer.Option(parser=SeedNumber, metavar="N", help="Seed of the head's training.")] = 0,
    least: Annotated[float | None, typer.Option(help="Lowest score; recordings below it are left out.")] = None,
    source: Annotated[
        list[Path] | None,
        typer.Option("--from", help="Alignments to read instead: .TextGrid, .ctm, .csv or folders; repeatable."),
    ] = None,
    keep: Annotated[bool, typer.Option("--keep", help="Write recordings without alignment, too.")] = False,
    overwrite: Overwrite = False,
) -> None:
    """Write a manifest with start and end of each phone, under the key 'alignment'.

    Recordings that cannot be aligned are named and left out.
    """
    from vocable.data.alignment.make import align_from, align_with, find_aligner

    if source:
        written = align_from(manifest, out, source, keep=keep, overwrite=overwrite, say=_say)
    else:
        found = find_aligner(aligner, manifest, whisper=whisper, head=head, seed=seed, say=_say)
        written = align_with(manifest, out, found, least=least, keep=keep, overwrite=overwrite, say=_say)
    _say(str(written))


@app.command("features", cls=Command, no_args_is_help=True)
def features(
    recipe: Annotated[str, typer.Argument(help="Recipe whose teachers' features are computed; see vocable recipes.")],
    data: Annotated[
        list[str], typer.Option(help="Manifest (JSONL), folder, or pattern of recordings; repeat it for several.")
    ],
    cache: Annotated[Path, typer.Option(help="Folder of the features, for --cache of vocable train.")],
    teacher: Annotated[
        list[str] | None,
        typer.Option(help="Teacher, as for vocable train: PART=FOLDER or NAME; repeat it for several."),
    ] = None,
    assignments: Annotated[
        list[str] | None, typer.Option("--set", help="Setting of the recipe as NAME=VALUE; repeat it for several.")
    ] = None,
    jobs: Annotated[int, typer.Option(parser=Count, metavar="N", help="Number of processes, of one thread each.")] = 1,
    shard: Annotated[
        str | None, typer.Option(metavar="I/N", help="Make the I-th of N shares, as on one of N machines.")
    ] = None,
    shard_hours: Annotated[
        float, typer.Option(parser=number(1e-6), metavar="H", help="Hours of speech of a file of features at most.")
    ] = 1.0,
    device: Device = "cpu",
) -> None:
    """Compute the features of a recipe's teachers ahead of a training, each recording once.

    A run that was stopped goes on where it was, and several processes on one folder share the work. Training reads the
    features that are there, and computes the others. Recordings that fail are named; the exit code is then 1.
    """
    from vocable.cli.options import complain
    from vocable.cli.progress import show_corpus_progress
    from vocable.corpus.features import RecipeExtractors, extract_features
    from vocable.device import check_device
    from vocable.errors import VocableError

    check_device(device)
    load = RecipeExtractors(recipe, tuple(teacher or ()), tuple(assignments or ()), cache, device)
    with show_corpus_progress("computing features") as watch:
        made = extract_features(
            load, data, cache, speeds=load.speeds, jobs=jobs, shard=shard, shard_hours=shard_hours, say=_say,
            watch=watch,
        )  # fmt: skip
    failed = {path: reason for one in made for path, reason in one.failed.items()}
    for reason in failed.values():
        complain(f"failed: {reason}")
    for one in made:
        _say(str(one))
    if failed:
        raise VocableError(f"{len(failed)} recordings failed; the others are done")


def _say(line: str) -> None:
    typer.echo(line.encode(errors="replace").decode())  # the name of a file may be no valid text
