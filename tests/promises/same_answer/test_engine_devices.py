"""What is found out about GPUs without a framework."""

from __future__ import annotations

from pathlib import Path

import pytest

from scorer.engines import devices


@pytest.mark.parametrize("hidden", ["", "-1"])
def test_hidden_gpus_are_not_there(hidden: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Path, "exists", lambda self: True)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", hidden)
    assert not devices.has_gpu()
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "1")
    assert devices.has_gpu()


@pytest.mark.parametrize(
    ("script", "found"),
    [
        ("printf '81559\\n24564\\n'", 24564 << 20),
        ("echo '[N/A]'", devices.ASSUMED_BYTES),
        ("exit 9", devices.ASSUMED_BYTES),
        (None, devices.ASSUMED_BYTES),
    ],
)
def test_memory_of_the_smallest_gpu(
    script: str | None, found: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if script is not None:
        tool = tmp_path / "nvidia-smi"
        tool.write_text(f"#!/bin/sh\n{script}\n")
        tool.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert devices.gpu_bytes() == found
