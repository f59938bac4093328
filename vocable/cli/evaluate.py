"""``vocable evaluate``."""

import sys
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer

from vocable.cli.command import Command, Group
from vocable.cli.options import Beam, Count, Device, SeedNumber


class _Group(Group):
    """``vocable evaluate listen …`` is a command; anything else is what shall be evaluated."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        return super().parse_args(ctx, args if args and args[0] in self.commands else ["tokenizers", *args])


app = typer.Typer(cls=_Group, help="Measure what tokens keep; build and analyse listening tests.")


@app.command("tokenizers", cls=Command, no_args_is_help=True)
def tokenizers(
    names: Annotated[
        list[str] | None, typer.Argument(metavar="TOKENIZER…", help="Names of models, or folders of models or runs.")
    ] = None,
    data: Annotated[list[Path] | None, typer.Option(help="A JSONL manifest; repeat for more.")] = None,
    out: Annotated[Path, typer.Option(help="Folder of the results. A stopped run continues.")] = Path("evaluation"),
    split: Annotated[
        str | None, typer.Option(help="Split of the manifest, or 'all'. Default: 'test' if there is one, else all.")
    ] = None,
    limit: Annotated[
        int | None, typer.Option(parser=Count, metavar="N", help="Number of clips, spread over the split.")
    ] = None,
    levels: Annotated[str, typer.Option(help="Also decode from fewer levels, such as 1,2,4.")] = "",
    codecs: Annotated[
        str, typer.Option(help="Codecs to compare with: 'all' that are installed, 'none', or e.g. opus:6,codec2:3200.")
    ] = "all",
    lyra: Annotated[Path | None, typer.Option(help="Folder of Lyra v2's three TFLite files.")] = None,
    model: Annotated[
        list[str] | None, typer.Option(help="A codec from transformers, as encodec=FOLDER (also dac, mimi, xcodec).")
    ] = None,
    decoded: Annotated[
        list[str] | None, typer.Option(help="A folder of audio decoded elsewhere, as NAME=FOLDER or FOLDER.")
    ] = None,
    metrics: Annotated[
        str,
        typer.Option(
            help="Metrics, such as pesq_wb,stability, or 'all'. Default: nine common ones. An unknown name lists all."
        ),
    ] = "",
    probes: Annotated[
        str, typer.Option(help="Small models fitted on the tokens, such as speaker,emotion; or 'none'.")
    ] = "speaker,gender",
    recognise: Annotated[
        int | None,
        typer.Option(parser=Count, metavar="N", help="Number of clips for the recognizer, the slowest scorer."),
    ] = None,
    recogniser: Annotated[
        str | None, typer.Option(help="'pocketsphinx', or name or folder of a Whisper, in place of Moonshine.")
    ] = None,
    speaker_model: Annotated[
        str | None, typer.Option(help="Name or folder of a WavLM x-vector model, or 'ecapa', in place of Resemblyzer.")
    ] = None,
    protocol: Annotated[
        str | None, typer.Option(help="A paper's own evaluation, or 'outside' to compare manifests as domains.")
    ] = None,
    jobs: Annotated[int, typer.Option(parser=Count, metavar="N", help="Number of processes, of one thread each.")] = 2,
    seed: Annotated[
        int, typer.Option(parser=SeedNumber, metavar="N", help="Random seed of noise, probes and intervals.")
    ] = 0,
    beam: Beam = 1,
    device: Device = "cpu",
) -> None:
    """Score what tokenizers and codecs keep of speech, on one page.

    Every run also scores the recording itself and the recording in noise.
    Where these are off their ceiling and floor, it says so and ends with code 1.

    Listening tests: vocable evaluate listen --help
    """
    from vocable.evaluate.benchmark import evaluate, find_protocol
    from vocable.evaluate.measures import Scorers
    from vocable.evaluate.plan import Plan, parse_counts, parse_named
    from vocable.evaluate.summary import raise_alarms

    plan = Plan(
        tokenizers=tuple(names or ()), manifests=tuple(data or ()), split=split, limit=limit,
        levels=parse_counts(levels, "--levels"), codecs=_words(codecs), lyra=lyra,
        models=parse_named(model or (), "--model"),
        decoded={name: Path(folder) for name, folder in parse_named(decoded or (), "--decoded").items()},
        metrics=_words(metrics) or None, scorers=Scorers(recognizer=recogniser, speaker=speaker_model),
        recognise=recognise, probes=_words(probes), seed=seed,
        device=device, beam=beam,
    )  # fmt: skip
    build = partial(find_protocol(protocol, plan), plan, out)
    said: list[str] = []
    card = _with_bar(evaluate, build, out, jobs, said)
    late = [line for line in card.left_out if line not in said]
    for line in (*late, *(f"{item} quarantined: {why}" for item, why in card.quarantined.items())):
        typer.echo(line.encode(errors="replace").decode())  # a file's name need not be text
    typer.echo((out / "report.md").read_text(encoding="utf-8"))
    typer.echo(f"{out / 'report.html'}")
    raise_alarms(card)


def _with_bar(evaluate: Any, build: Any, out: Path, jobs: int, said: list[str]) -> Any:
    """Evaluate under a progress bar that also says how long it will take; ``said`` gets the lines printed before."""
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    bar = Progress(
        TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), TextColumn("left:"),
        TimeRemainingColumn(), console=Console(stderr=True), disable=not sys.stderr.isatty(),
        redirect_stdout=sys.stdout.isatty(),
    )  # fmt: skip
    with bar:
        task = bar.add_task("loading", total=None)

        def show(done: int, total: int) -> None:
            bar.update(task, description="clips" if done < total else "report", completed=done, total=total)

        def say(line: str) -> None:
            said.append(line)
            bar.console.print(line.encode(errors="replace").decode(), markup=False, highlight=False, soft_wrap=True)

        return evaluate(build, out, jobs=jobs, progress=show, say=say)


def _words(text: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in text.split(",") if part.strip() and part.strip() != "none")
