"""What a graph of a decoder is worth on this machine: its error against torch, its time, and the gate on the error."""

import platform
import time
from pathlib import Path

import numpy as np

GATE = 0.03  # largest RMSE of a faster variant, in standard deviations of the action
LEAST_SPREAD = 0.01  # of half an action's range: one that hardly moves is not measured by its own standard deviation
PAUSE_S = 0.01  # a control loop sleeps between decodes; back to back everything is warmer than there
ROUNDS, LEAST_ROUNDS, BUDGET_S = 25, 5, 5.0


def rmse(found: np.ndarray, expected: np.ndarray, half_range: np.ndarray) -> float:
    """RMSE of chunks [N, T_p, d_a] in standard deviations of each expected action dimension; half_range [d_a]."""
    spread = np.maximum(expected.std(axis=(0, 1)), LEAST_SPREAD * half_range)
    return float(np.sqrt(np.mean(np.square((found - expected) / spread, dtype=np.float64))))


def paced_ms(calls: dict) -> dict:
    """Median milliseconds of each call, in turn, each after a pause; fewer rounds when they are slow."""
    for call in calls.values():
        call()
    times, begun = {name: [] for name in calls}, time.perf_counter()
    for i in range(ROUNDS):
        if i >= LEAST_ROUNDS and time.perf_counter() - begun > BUDGET_S:
            break
        for name, call in calls.items():
            time.sleep(PAUSE_S)
            start = time.perf_counter()
            call()
            times[name].append(time.perf_counter() - start)
    return {name: round(1e3 * float(np.median(found)), 4) for name, found in times.items()}


def machine() -> str:
    """The processor in words, with the extensions that decide about int8; no name of a host."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return platform.machine()
    found = dict(line.split(":", 1) for line in reversed(lines) if ":" in line)
    values = {key.strip(): value.strip() for key, value in found.items()}
    known = [name for name in ("avx2", "avx512f", "avx_vnni", "avx512_vnni") if name in values.get("flags", "").split()]
    return ", ".join([values.get("model name", platform.machine()), *known])
