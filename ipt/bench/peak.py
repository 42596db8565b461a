"""How much memory a piece of work takes at its peak."""

from __future__ import annotations

from pathlib import Path

import torch

_RESET, _STATUS = Path("/proc/self/clear_refs"), Path("/proc/self/status")


class Peak:
    """Peak memory since it was made, in bytes: of a GPU, what torch allocated; else the process's resident memory, with
    Python and all weights in it (Linux; None elsewhere)."""

    def __init__(self, device: str):
        self._gpu = device if device.startswith("cuda") else ""
        self._known = True
        if self._gpu:
            torch.cuda.reset_peak_memory_stats(self._gpu)
            return
        try:
            # 5 sets the high-water mark back to what is resident now (proc(5)).
            _RESET.write_text("5")
        except OSError:
            self._known = False

    def bytes(self) -> int | None:
        if self._gpu:
            return int(torch.cuda.max_memory_allocated(self._gpu))
        if not self._known:
            return None
        lines = dict(line.split(":", 1) for line in _STATUS.read_text().splitlines() if ":" in line)
        return int(lines["VmHWM"].split()[0]) * 1024 if "VmHWM" in lines else None
