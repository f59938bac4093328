"""Programs and formats that codecs of others come in: commands as pipes, and what an Ogg file carries."""

import shutil
import subprocess
from collections.abc import Sequence
from functools import cache

from vocable.errors import AudioError, MissingDependencyError


def need(commands: Sequence[str], package: str) -> None:
    """Find programs.

    Raises:
        MissingDependencyError: One is not on the PATH; the message names the Debian package.
    """
    missing = [command for command in commands if shutil.which(command) is None]
    if missing:
        raise MissingDependencyError(f"needs {' and '.join(missing)} on the PATH (Debian: apt install {package})")


@cache
def version(command: str) -> str:
    """The first line of what a program says of itself.

    Raises:
        MissingDependencyError: It does not start, or fails.
    """
    try:
        said = pipe(b"", command, "--version")
    except AudioError as error:
        raise MissingDependencyError(f"{error}; install it again") from error
    return said.decode(errors="replace").strip().splitlines()[0]


def pipe(data: bytes, *command: str) -> bytes:
    """Feed a program and take what it writes: no file is made, so that no file name can mislead it.

    Raises:
        AudioError: It does not start, fails, or gives nothing back.

    Example:
        >>> pipe(b"as it was", "cat")
        b'as it was'
    """
    try:
        done = subprocess.run(command, input=data, capture_output=True, check=False)  # no shell, own words  # noqa: S603
    except OSError as error:
        raise AudioError(f"{command[0]} does not start ({error.strerror})") from error
    if done.returncode or not done.stdout:
        said = done.stderr.decode(errors="replace").strip().splitlines()
        raise AudioError(f"{command[0]} failed: {said[-1] if said else f'exit code {done.returncode}, no output'}")
    return done.stdout


def ogg_packets(data: bytes) -> list[int]:
    """Bytes of each packet in an Ogg file of one stream, without the pages around them.

    Raises:
        AudioError: It is none, or is cut.

    Source:
        RFC 3533, section 6: a page is 27 bytes, a table of segment lengths, and the segments; a packet ends with the
        first segment shorter than 255 bytes.

    Example:
        >>> page = b"OggS" + bytes(22) + bytes([3, 255, 2, 7])
        >>> ogg_packets(page + bytes(264))
        [257, 7]
    """
    packets, size, at = [], 0, 0
    while at < len(data):
        table = data[at + 27 : at + 27 + data[at + 26]] if len(data) >= at + 27 else b""
        end = at + 27 + len(table) + sum(table)
        if data[at : at + 4] != b"OggS" or not table or end > len(data):
            raise AudioError(f"no whole Ogg page at byte {at}: the encoder's output is cut or of another format")
        for segment in table:
            size += segment
            if segment < 255:
                packets.append(size)
                size = 0
        at = end
    return packets
