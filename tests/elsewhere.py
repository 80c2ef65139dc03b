"""A kernel on another machine: other vector instructions, one thread, other hashes, another time zone."""

from __future__ import annotations

import os

import torch

# For torch's own loops, Intel's MKL (which other makers' processors answer with MKL_CBWR alone) and oneDNN.
AVX2 = {"ATEN_CPU_CAPABILITY": "avx2", "MKL_ENABLE_INSTRUCTIONS": "AVX2", "ONEDNN_MAX_CPU_ISA": "AVX2"}
PLAIN = {
    "ATEN_CPU_CAPABILITY": "default",
    "MKL_ENABLE_INSTRUCTIONS": "SSE4_2",
    "MKL_CBWR": "COMPATIBLE",
    "ONEDNN_MAX_CPU_ISA": "SSE41",
}


def instructions() -> dict[str, str]:
    """The variables that make torch use other vector instructions than here: AVX2, or none if AVX2 is all there is."""
    return PLAIN if torch.backends.cpu.get_cpu_capability() == "AVX2" else AVX2


def environment() -> dict[str, str]:
    """The environment of a process on the other machine."""
    threads = {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    return {**os.environ, **instructions(), **threads, "PYTHONHASHSEED": "20080229", "TZ": "Pacific/Chatham"}
