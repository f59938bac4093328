#!/usr/bin/env bash
# What the tests of codecs and of pages need beside Python: named where it is missing (those tests are then skipped),
# and in CI, where they may not be, installed.
set -euo pipefail

missing=()
need() { command -v "$1" >/dev/null || missing+=("$2"); }
library() { ldconfig -p 2>/dev/null | grep -q "$1" || missing+=("$2"); }

need chromium chromium
need opusenc opus-tools
need c2enc codec2
need speexenc speex
library libvo-amrwbenc.so libvo-amrwbenc0
library libopencore-amrwb.so libopencore-amrwb0

[ ${#missing[@]} -eq 0 ] && exit 0
if [ -n "${CI:-}" ] && [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
    apt-get update -qq
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
else
    echo "Some tests will be skipped; Debian and Ubuntu have what they need: apt install ${missing[*]}"
fi
