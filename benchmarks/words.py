"""What level 1 of the guided codec becomes when it is taught words alone, and much; beside no teacher, three seeds.

python benchmarks/words.py SPEECHOCEAN EMODB --semantic FOLDER --out DIR --init FIRST

Manifests with `emotion`, `sentence_id` and phones, as `vocable study lessons` reads them. FIRST is a trained codec of
`guided-small`'s sizes that met no adversary. A stopped study goes on where it stood.
"""

from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from vocable.systems import registry as hub
from vocable.systems.registry import find_recipe
from vocable.train.overrides import override
from vocable_lab.study import study


def words(
    data: Annotated[list[Path], typer.Argument(help="Manifests.")],
    semantic: Annotated[str, typer.Option(help="The semantic teacher: a folder or a name on the hub.")],
    out: Annotated[Path, typer.Option(help="The study's folder.")],
    init: Annotated[str, typer.Option(help="The codec that all begin from.")] = "guided-small",
    weight: Annotated[float, typer.Option(help="λ of the semantic teacher.")] = 5.0,
    steps: Annotated[int, typer.Option(help="Of each of the six runs.")] = 600,
    fakes: Annotated[int, typer.Option(help="Clips that are coded, and sentences that are converted.")] = 40,
    cache: Annotated[Path | None, typer.Option(help="Where what teachers say is kept.")] = None,
) -> None:
    """Train and measure; prints the tables, which lie in study.md too."""
    run = override(
        find_recipe("guided-small-taught"),
        steps=steps, batch_size=5, precision="bfloat16", cache=cache or out / "teachers",
        teachers=[f"semantic={semantic}", "acoustic=resemblyzer"],  # who does not teach is heard all the same
        scale=False,
    )  # fmt: skip
    run = replace(run, losses=replace(run.losses, semantic=replace(run.losses.semantic, value=weight)))
    only = [f"{name}-seed{seed}" for seed in range(3) for name in ("reconstruction", "semantic")]
    typer.echo(study("lessons", run, data, out, only=only, start=hub.load(init), fakes=fakes, say=typer.echo))


if __name__ == "__main__":
    typer.run(words)
