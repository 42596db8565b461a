"""What `ipt solve FOLDER` costs and keeps: two workers against one, the engine's share, kills, memory.

    python benchmarks/folders.py workers     # throughput of 2 local workers over 1, beside that of 2 bare loops over 1
    python benchmarks/folders.py overhead    # seconds of the networks, of the solver around them, of all else
    python benchmarks/folders.py kills       # kill -9 at random moments; are the final results the undisturbed ones?
    python benchmarks/folders.py memory      # resident memory at the 100th and at the 1,000th picture

One thread a process. The pictures are crops of scikit-image's astronaut. Each prints a line of JSON a round.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import resource
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

os.environ["OMP_NUM_THREADS"] = "1"
TINY = {"prior": {"image": "gaussian", "kernel": "gaussian"}, "set": {"operator.kernel_size": 7}}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["workers", "overhead", "kills", "memory", "loop"])
    parser.add_argument("--count", type=int, help="pictures; of `kills`: how many kills")
    parser.add_argument("--rounds", type=int, default=5, help="of `workers` and `overhead`")
    parser.add_argument("--steps", type=int, default=25, help="of `workers` and `overhead`")
    parser.add_argument("--engine", default="local", help="of `kills`")
    parser.add_argument("--seed", type=int, default=0, help="of `kills`: of the moments")
    parser.add_argument("--keep", type=Path, help="of `memory`: leave the results in this folder")
    given = parser.parse_args()
    if given.what == "loop":
        print(json.dumps(loop(given.count)))
        return
    with tempfile.TemporaryDirectory() as place:
        if given.what == "workers":
            workers(Path(place), given.count or 24, given.rounds, given.steps)
        elif given.what == "overhead":
            overhead(Path(place), given.count or 24, given.rounds, given.steps)
        elif given.what == "kills":
            kills(Path(place), given.count or 50, given.engine, random.Random(given.seed))
        else:
            memory(Path(place), given.count or 1000, given.keep)


def pictures(place: Path, count: int, side: int) -> Path:
    from PIL import Image
    from skimage import data

    place.mkdir()
    for number in range(count):
        top, left = 30 + number % 40, 150 + number // 40
        crop = data.astronaut()[top : top + 124, left : left + 124]
        Image.fromarray(crop).resize((side, side)).save(place / f"{number:04d}.png")
    return place


def say(**values: Any) -> None:
    plain = {name: round(value, 4) if isinstance(value, float) else value for name, value in values.items()}
    print(json.dumps(plain), flush=True)


def workers(place: Path, count: int, rounds: int, steps: int) -> None:
    """By the clock, and by processor seconds a picture or call, which other processes on the machine disturb less: were
    each worker alone on a core and never idle, throughput would grow by 2 / cpu. The bare loops say what the machine's
    two cores allow."""
    folder = pictures(place / "in", count, 64)
    found = []
    for number in range(rounds):
        bare = [bare_rate(together) for together in (1, 2)]
        solved = [solving_rate(folder, place / f"{number}-{together}", together, steps) for together in (1, 2)]
        row = {
            "machine": bare[1][0] / bare[0][0],
            "workers": solved[1][0] / solved[0][0],
            "machine_cpu": bare[1][1] / bare[0][1],
            "workers_cpu": solved[1][1] / solved[0][1],
            "seconds_1": 1 / solved[0][0],
            "seconds_2": 1 / solved[1][0],
            "cpu_1": solved[0][1],
            "cpu_2": solved[1][1],
            "load": os.getloadavg()[0],
        }
        found.append(row)
        say(**row)
    say(**{f"median_{name}": statistics.median(row[name] for row in found) for name in found[0]})


def bare_rate(together: int, calls: int = 200) -> tuple[float, float]:
    """Calls a second of the image network, alone in so many processes at once, and processor seconds a call."""
    command = [sys.executable, __file__, "loop", "--count", str(calls)]
    running = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(together)]
    each = [json.loads(process.communicate()[0]) for process in running]
    return sum(calls / clock for clock, _ in each), statistics.mean(cpu for _, cpu in each) / calls


def loop(calls: int) -> tuple[float, float]:
    import torch

    import ipt

    torch.set_num_threads(1)
    network = ipt.build(operator="blur", prior="faces").solver.priors["image"]
    noisy = torch.randn(1, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        for _ in range(5):
            network.denoise(noisy, 1.0)
        began = time.perf_counter(), time.process_time()
        for _ in range(calls):
            network.denoise(noisy, 1.0)
    return time.perf_counter() - began[0], time.process_time() - began[1]


def solving_rate(folder: Path, out: Path, together: int, steps: int) -> tuple[float, float]:
    """Pictures a second, and processor seconds a picture, while all workers are at work: from the first picture done
    after all had begun to the last that was done before one had nothing left to begin, by the run's own log."""
    command = [sys.executable, "-m", "ipt", "solve", str(folder), "-o", str(out), "--steps", str(steps), "--noise"]
    command += [".01", "--batch", "1", "--engine", f"local:{together}"]
    run = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    spent: list[tuple[float, float]] = []
    while run.poll() is None:
        spent.append((time.time(), processor_seconds(run.pid)))
        time.sleep(0.2)
    assert run.returncode == 0
    events = [json.loads(line) for line in (out / "log" / "1-of-1.jsonl").read_text().splitlines()]
    begun = [event["time"] for event in events if event["event"] == "batch"]
    busy = 0
    for all_busy in events:
        busy += {"batch": 1, "done": -1}.get(all_busy["event"], 0)
        if busy == together:
            break
    done = [event["time"] for event in events if event["event"] == "done"]
    done = [moment for moment in done if all_busy["time"] <= moment <= begun[-1] + 0.1]
    shutil.rmtree(out)
    pictures, cpu = len(done) - 1, at(spent, done[-1]) - at(spent, done[0])
    return pictures / (done[-1] - done[0]), cpu / pictures


def processor_seconds(process: int) -> float:
    """Of a process and its children, so far."""
    try:
        children = Path(f"/proc/{process}/task/{process}/children").read_text().split()
        fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0
    own = (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    return own + sum(processor_seconds(int(child)) for child in children)


def at(spent: list[tuple[float, float]], moment: float) -> float:
    before = max((pair for pair in spent if pair[0] <= moment), default=spent[0])
    after = min((pair for pair in spent if pair[0] > moment), default=spent[-1])
    share = (moment - before[0]) / max(after[0] - before[0], 1e-6)
    return before[1] + min(share, 1.0) * (after[1] - before[1])


class Quiet:
    """A watcher that says nothing."""

    def begin(self, name: str, number: int, total: int, count: int = 1) -> None: ...

    def step(self, progress: Any) -> None: ...

    def end(self, outcome: Any) -> None: ...

    def note(self, text: str) -> None: ...


def solve(folder: Path, out: Path, each: Callable[[Any], None] = lambda outcome: None, **given: Any) -> None:
    from ipt.folder.options import ExecutionOptions
    from ipt.folder.run import solve_all
    from ipt.solve.options import SolveOptions

    how = {name: given.pop(name) for name in ("batch", "engine", "save_every") if name in given}
    options = SolveOptions(input=(folder,), noise=0.01, **given)
    for outcome in solve_all(options, ExecutionOptions(**how), out, Quiet()):
        assert outcome.status == "done" or outcome.status == "skipped", outcome
        each(outcome)


def overhead(place: Path, count: int, rounds: int, steps: int) -> None:
    """All in this process. Of the whole: the networks, the solver's own arithmetic, and the engine: the rest (reading,
    hashing, states, results, log), without the page, which is made once. In processor seconds, which other processes on
    the machine disturb less, and in seconds of the clock."""
    import torch

    from ipt.core.solver import Solver
    from ipt.priors.network import NetworkPrior

    torch.set_num_threads(1)
    folder = pictures(place / "in", count, 64)
    clocks = {"cpu": time.process_time, "clock": time.perf_counter}
    spent: dict[str, float] = {}

    def timed(kind: str, act: Callable[[], Any]) -> Any:
        began = {name: clock() for name, clock in clocks.items()}
        try:
            return act()
        finally:
            for name, clock in clocks.items():
                spent[f"{kind} {name}"] = spent.get(f"{kind} {name}", 0.0) + clock() - began[name]

    inner, steps_of = NetworkPrior.posterior, Solver.steps

    def posterior(self: Any, *arguments: Any, **named: Any) -> Any:
        return timed("networks", lambda: inner(self, *arguments, **named))

    def stepped(self: Any, *arguments: Any, **named: Any) -> Any:
        states = steps_of(self, *arguments, **named)
        while (state := timed("solver", lambda: next(states, None))) is not None:
            yield state

    NetworkPrior.posterior, Solver.steps = posterior, stepped  # type: ignore[method-assign]
    shares = []
    for number in range(rounds):
        for batch in (1, 8):
            spent.clear()
            marks: list[dict[str, float]] = []

            def mark(outcome: Any, marks: list[dict[str, float]] = marks) -> None:
                marks.append({**{name: clock() for name, clock in clocks.items()}, **spent})

            solve(folder, place / f"out-{number}-{batch}", mark, batch=batch, steps=steps)
            # From the end of the first batch on: what is done once (loading, torch's first call) is no part of it.
            first, last = marks[batch - 1], marks[-1]
            row: dict[str, Any] = {"batch": batch, "pictures": count - batch}
            for name in clocks:
                networks = last[f"networks {name}"] - first[f"networks {name}"]
                solver = last[f"solver {name}"] - first[f"solver {name}"]
                engine = last[name] - first[name] - solver
                row |= {f"networks_{name}": networks, f"solver_{name}": solver - networks, f"engine_{name}": engine}
                row[f"share_{name}"] = engine / networks
            shares.append(row)
            say(**row)
    for batch in (1, 8):
        own = [row for row in shares if row["batch"] == batch]
        shown = {f"median_{name}": statistics.median(row[f"share_{name}"] for row in own) for name in clocks}
        say(batch=batch, **shown)


def kills(place: Path, count: int, engine: str, moments: random.Random) -> None:
    """A run is killed again and again until it is through; then the next, until there were so many kills."""
    import torch

    torch.set_num_threads(1)
    folder = pictures(place / "in", 12, 24)
    given = {**TINY, "steps": 60, "batch": 3, "engine": engine, "save_every": 0}
    began = time.monotonic()
    Forked(lambda: solve(folder, place / "undisturbed", **given)).wait()
    whole = time.monotonic() - began
    truth = results(place / "undisturbed")
    assert len(truth) == 12 * 5, len(truth)
    done, runs, same, out = 0, 0, 0, place / "out"
    while done < count:
        while True:
            run = Forked(lambda: solve(folder, out, **given))
            finished = run.wait(moments.uniform(0, 0.7 * whole))
            if finished:
                break
            run.kill()
            done += 1
        runs, same = runs + 1, same + (results(out) == truth)
        leftovers = [path.name for path in out.iterdir() if path.name.startswith(".")]
        say(kills=done, runs=runs, bit_equal=same, leftovers=leftovers)
        shutil.rmtree(out)


class Forked:
    """A child that does something: quick to start, since all is loaded."""

    def __init__(self, act: Callable[[], None]):
        self.pid = os.fork()
        if self.pid == 0:
            code = 1
            try:
                act()
                code = 0
            finally:
                os._exit(code)

    def wait(self, seconds: float = 1e9) -> bool:
        """Whether it came to its end within so many seconds."""
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                assert status == 0, status
                return True
            time.sleep(0.002)
        return False

    def kill(self) -> None:
        os.kill(self.pid, signal.SIGKILL)
        os.waitpid(self.pid, 0)


def results(out: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for ending in ("*.png", "*.npy") for path in sorted(out.glob(ending))}


def memory(place: Path, count: int, keep: Path | None) -> None:
    import torch

    from ipt.report.report import write_report

    torch.set_num_threads(1)
    folder = pictures(place / "in", count, 64)
    out = keep or place / "out"
    seen: list[float] = []

    def each(outcome: Any) -> None:
        seen.append(resident())

    solve(folder, out, each, **TINY, steps=2)
    marks = {f"mib_at_{number}": seen[number - 1] for number in (10, 100, 300, 1000) if number <= len(seen)}
    report = write_report(out)
    say(**marks, mib_after_the_report=resident(), report_mib=report.stat().st_size / 2**20)


def resident() -> float:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize() / 2**20


if __name__ == "__main__":
    main()
