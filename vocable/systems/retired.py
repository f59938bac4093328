"""Bundled models of earlier versions: their tokens, and models trained on their units, are refused with a way out."""

_PREVIEW = "0.2 before 2026-12-01"  # the same weights, under a configuration whose fields were renamed
_RETIRED = {
    "sha256:5c58fe54611bbb7a842c9a33161311adf679e28641b28380ba352a293e4aaf80": ("supervised-small", "0.1"),
    "sha256:31140fb821e9d3ddd021b177a2c3351a082fbb8733418ead9469cf9b78910e8b": ("supervised-small", _PREVIEW),
    "sha256:8850f40a6ef0d0620e2d50e3fc06c2d3a0421edcfb0a19b00ff5e9d5e8338317": ("taste-small", "0.1"),
    "sha256:4b2a13e9ab0121f49705db7fa5ce9fbee2bcf15ee27bceaa0ea937944f2e41f0": ("taste-small", _PREVIEW),
}


def retired(digest: str) -> str | None:
    """Return the retired model that a digest stands for, with the version of vocable that has it; None for any other.

    Example:
        >>> retired("sha256:5c58fe54611bbb7a842c9a33161311adf679e28641b28380ba352a293e4aaf80")
        'the supervised-small of vocable 0.1'
        >>> retired("sha256:00") is None
        True
    """
    if digest not in _RETIRED:
        return None
    name, version = _RETIRED[digest]
    return f"the {name} of vocable {version}"
