"""What can be known of GPUs without a framework: whether there is one, and how much it holds."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

#: of a GPU that does not tell; too much costs one failed batch, which is then halved
ASSUMED_BYTES = 4 << 30
_QUERY = ("nvidia-smi", "--query-gpu=memory.total", "--format=csv,noheader,nounits")


def has_gpu() -> bool:
    """Whether an Nvidia GPU is there and not hidden by CUDA_VISIBLE_DEVICES."""
    if os.environ.get("CUDA_VISIBLE_DEVICES") in ("", "-1"):
        return False
    return Path("/proc/driver/nvidia/version").exists() or any(Path("/dev").glob("nvidia[0-9]*"))


def gpu_bytes() -> int:
    """The memory of the smallest Nvidia GPU."""
    try:
        asked = subprocess.run(_QUERY, capture_output=True, text=True, check=True, timeout=20)
        return min(int(line) for line in asked.stdout.split()) << 20
    except (OSError, subprocess.SubprocessError, ValueError):
        return ASSUMED_BYTES
