"""How fast files come, beside the plainest loop over the standard library, curl, aria2c and huggingface_hub.

    apt-get install nginx-light curl aria2 openssl
    python -m venv /tmp/hub && /tmp/hub/bin/pip install huggingface_hub
    python benchmarks/download.py --hub /tmp/hub/bin/python [--rounds 5] [--only plain,tls,far] [--directory DIR]
    git worktree add /tmp/before COMMIT     # beside another commit, on a machine that others use too:
    python benchmarks/download.py --before /tmp/before --tools ours,floor,before --wait 0 --rounds 15

Nginx serves the same random files on loopback to all: plainly, over TLS with a certificate made on the spot,
and a small server of its own serves them as from far away (30 ms to the first byte, 40 MB/s a connection).
Each round runs every tool once, in turn, on a folder emptied before and a machine that is quiet; medians are
printed. Loopback is noisy and machines differ, so only ratios count, and only those of one run. The yardstick is
the floor (download_floor.py), which does what ours must do, SHA-256, fsync and rename, and nothing else. curl and
aria2c do none of these, so ratios to them move with the machine: they are for information. C programs are timed
whole; Python ones from the first request on, since a program that downloads has imported its client before. A tool
that is not installed is named and left out.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).parent
SETS = {"200 x 100 KB": (200, 100_000), "40 x 5 MB": (40, 5_000_000), "1 x 500 MB": (1, 500_000_000)}
FAR_SETS = ("200 x 100 KB", "40 x 5 MB")
# The least share of the floor's speed, and the most of its CPU.
TARGETS = {"200 x 100 KB": (0.95, 1.05), "40 x 5 MB": (0.95, 1.05), "1 x 500 MB": (1.0, 1.05)}
MOST_MEMORY_MB = 60


@dataclass
class Run:
    """What one run of one tool took."""

    seconds: float
    cpu: float
    rss_kb: int
    rss_before_kb: int = 0


@dataclass
class Setting:
    """What a tool is given: where the files are, and where they go."""

    urls: list[str]
    size: int
    directory: Path
    certificate: Path | None

    @property
    def targets(self) -> list[Path]:
        return [self.directory / url.rpartition("/")[2] for url in self.urls]

    @property
    def lines(self) -> str:
        pairs = zip(self.urls, self.targets, strict=True)
        return "".join(f"{url}\t{self.size}\t{target}\n" for url, target in pairs)


Tool = Callable[[Setting], Run]


def timed(command: list[str]) -> Run:
    started = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if status:
        sys.exit(f"{command[0]} failed with {process.returncode}")
    return Run(time.perf_counter() - started, usage.ru_utime + usage.ru_stime, usage.ru_maxrss)


def curl(setting: Setting) -> Run:
    with tempfile.NamedTemporaryFile("w", suffix=".curl") as config:
        for url, target in zip(setting.urls, setting.targets, strict=True):
            config.write(f'url = "{url}"\noutput = "{target}"\n')
        config.flush()
        trust = ["--cacert", str(setting.certificate)] if setting.certificate else []
        return timed(["curl", "-sS", "--parallel", "--parallel-max", "8", *trust, "-K", config.name])


def aria2c(setting: Setting) -> Run:
    with tempfile.NamedTemporaryFile("w", suffix=".aria2c") as listed:
        listed.write("".join(f"{url}\n" for url in setting.urls))
        listed.flush()
        trust = [f"--ca-certificate={setting.certificate}"] if setting.certificate else []
        options = ["-q", "-j8", "--file-allocation=none", "--no-conf=true", *trust]
        return timed(["aria2c", *options, "-d", str(setting.directory), "-i", listed.name])


def python_tool(python: str, script: str, *more: str, tree: Path = HERE.parent) -> Tool:
    def run(setting: Setting) -> Run:
        arguments = [*more]
        environment = {**os.environ, "HF_HUB_DISABLE_PROGRESS_BARS": "1", "HF_HUB_DISABLE_XET": "1"}
        environment["PYTHONPATH"] = str(tree / "src")
        if setting.certificate:
            environment["SSL_CERT_FILE"] = str(setting.certificate)
            arguments += ["--verify", str(setting.certificate)]
        done = subprocess.run(
            [python, str(tree / "benchmarks" / script), *arguments],
            input=setting.lines,
            capture_output=True,
            text=True,
            env=environment,
            check=False,
        )
        if done.returncode:
            sys.exit(f"{script} failed: {done.stderr.strip()[-500:]}")
        figures = json.loads(done.stdout)
        return Run(figures["seconds"], figures["cpu"], figures["rss"], figures["rss_before"])

    return run


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as sock:
        return int(sock.getsockname()[1])


def wait_for(port: int) -> None:
    for _ in range(100):
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
        except OSError:
            time.sleep(0.05)
        else:
            return
    sys.exit(f"nothing listens on port {port}")


@contextmanager
def serving(base: Path, modes: list[str]) -> Iterator[dict[str, str]]:
    """Where the files are to be had, for each mode."""
    ports = {mode: free_port() for mode in modes}
    certificate, key = base / "cert.pem", base / "key.pem"
    if "tls" in modes:
        request = [
            "openssl",
            "req",
            "-x509",
            "-newkey",
            "rsa:2048",
            "-nodes",
            "-days",
            "2",
            "-subj",
            "/CN=localhost",
        ]
        names = ["-addext", "subjectAltName=IP:127.0.0.1", "-keyout", str(key), "-out", str(certificate)]
        subprocess.run([*request, *names], check=True, capture_output=True)
    listen = f"listen 127.0.0.1:{ports['plain']};" if "plain" in modes else ""
    if "tls" in modes:
        listen += (
            f"listen 127.0.0.1:{ports['tls']} ssl; ssl_certificate {certificate}; ssl_certificate_key {key};"
        )
    config = base / "nginx.conf"
    config.write_text(
        f"worker_processes 2; daemon off; pid {base}/nginx.pid; error_log {base}/error.log;"
        "events { worker_connections 512; }"
        "http { access_log off; sendfile on; tcp_nopush on; keepalive_requests 100000;"
        f"client_body_temp_path {base}/body; server {{ {listen} root {base}/files; }} }}"
    )
    processes = []
    if listen:
        processes.append(subprocess.Popen(["nginx", "-c", str(config)]))
    if "far" in modes:
        far = [sys.executable, str(HERE / "download_far.py"), str(ports["far"]), str(base / "files")]
        processes.append(subprocess.Popen(far))
    try:
        for port in ports.values():
            wait_for(port)
        yield {
            mode: f"{'https' if mode == 'tls' else 'http'}://127.0.0.1:{port}" for mode, port in ports.items()
        }
    finally:
        for process in processes:
            process.terminate()
            process.wait()


def make_files(directory: Path) -> None:
    directory.mkdir()
    for number, (count, size) in enumerate(SETS.values()):
        for index in range(count):
            with (directory / f"{number}-{index}").open("wb") as file:
                rest = size
                while rest:
                    rest -= file.write(os.urandom(min(rest, 1 << 20)))


def wait_for_quiet(most: float) -> None:
    """Wait, for `most` seconds at most, until other programs leave the processors alone.

    Ours uses two processors where curl uses one, so a busy neighbour slows down ours alone.
    """
    for _ in range(int(most * 5)):
        start = processor_ticks()
        time.sleep(0.2)
        busy, idle = (now - then for now, then in zip(processor_ticks(), start, strict=True))
        if busy <= 0.05 * (busy + idle):
            return


def processor_ticks() -> tuple[int, int]:
    ticks = [
        int(field) for field in Path("/proc/stat").read_text(encoding="ascii").splitlines()[0].split()[1:9]
    ]
    idle = ticks[3] + ticks[4]
    return sum(ticks) - idle, idle


def measure(setting: Setting, tools: dict[str, Tool], rounds: int, wait: float) -> dict[str, list[Run]]:
    runs: dict[str, list[Run]] = {name: [] for name in tools}
    for round_number in range(rounds + 1):
        # Every other round runs backwards, so that none always comes after the same one.
        for name, tool in list(tools.items())[:: 1 if round_number % 2 == 0 else -1]:
            shutil.rmtree(setting.directory, ignore_errors=True)
            setting.directory.mkdir()
            os.sync()
            wait_for_quiet(wait)
            run = tool(setting)
            if round_number:  # the first one warms the caches
                runs[name].append(run)
    for target in setting.targets:
        if target.stat().st_size != setting.size:
            sys.exit(f"{target.name} is not whole")
    return runs


def report(mode: str, name: str, count: int, size: int, runs: dict[str, list[Run]]) -> None:
    total = count * size
    speeds = {
        tool: statistics.median(total / run.seconds / 1e6 for run in done) for tool, done in runs.items()
    }
    print(f"\n{mode}, {name}", flush=True)
    for tool, done in runs.items():
        cpu = statistics.median(run.cpu for run in done) / total * 1e9
        memory = max(run.rss_kb for run in done) / 1024
        line = f"  {tool:18} {speeds[tool]:6.0f} MB/s {cpu:6.2f} CPU s/GB {memory:5.0f} MB"
        if tool == "ours":
            over = max(run.rss_kb - run.rss_before_kb for run in done) / 1024
            line += f"  ({over:.0f} MB over the client's own; target {MOST_MEMORY_MB})"
        print(line)
    # Round by round: what slowed one down slowed the other down as well.
    for rival in runs:
        if rival == "ours":
            continue
        pairs = list(zip(runs["ours"], runs[rival], strict=True))
        speed = statistics.median(theirs.seconds / mine.seconds for mine, theirs in pairs)
        cpu = statistics.median(mine.cpu / theirs.cpu for mine, theirs in pairs)
        # Beside programs that come and go, the least of all rounds says more than the median of their ratios.
        least_cpu = min(run.cpu for run in runs["ours"]) / min(run.cpu for run in runs[rival])
        goal = ""
        if rival == "floor" and mode != "far":
            least, most = TARGETS[name]
            goal = (
                f"  target {least:.2f} and {most:.2f}  {'ok' if speed >= least and cpu <= most else 'MISSED'}"
            )
        print(f"  ours / {rival:16} {speed:5.2f} x speed {cpu:5.2f} x CPU, at best {least_cpu:5.2f}{goal}")


def has_hub(python: str) -> bool:
    if shutil.which(python) is None:
        return False
    return (
        subprocess.run([python, "-c", "import huggingface_hub"], capture_output=True, check=False).returncode
        == 0
    )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--only", default="plain,tls,far", help="plain, tls, far")
    parser.add_argument("--hub", default=sys.executable, help="a Python that has huggingface_hub")
    parser.add_argument("--before", type=Path, default=None, help="a checkout of another commit, as a peer")
    parser.add_argument(
        "--tools", default="", help="some of the tools, such as ours,floor,before; default: all"
    )
    parser.add_argument("--wait", type=float, default=20, help="the most seconds to wait for a quiet machine")
    parser.add_argument("--sets", default=",".join(SETS), help="some of: " + ", ".join(SETS))
    parser.add_argument("--directory", default=None, help="a disk with 3 GB of room")
    options = parser.parse_args()
    modes = options.only.split(",")

    tools: dict[str, Tool] = {
        "ours": python_tool(sys.executable, "download_ours.py"),
        "floor": python_tool(sys.executable, "download_floor.py"),
    }
    if options.before is not None:
        tools["before"] = python_tool(sys.executable, "download_ours.py", tree=options.before.resolve())
    for name, tool in (("curl", curl), ("aria2c", aria2c)):
        if shutil.which(name):
            tools[name] = tool
        else:
            print(f"{name} is not installed: left out")
    if has_hub(options.hub):
        tools["huggingface_hub"] = python_tool(options.hub, "download_floor.py", "--hub")
    else:
        print("huggingface_hub is not installed: left out")
    if options.tools:
        tools = {name: tool for name, tool in tools.items() if name in options.tools.split(",")}
    if not shutil.which("nginx"):
        print("nginx is not installed: only the far server is used")
        modes = [mode for mode in modes if mode == "far"]

    with tempfile.TemporaryDirectory(dir=options.directory) as folder:
        base = Path(folder)
        base.chmod(0o755)  # nginx's workers are another user
        make_files(base / "files")
        with serving(base, modes) as origins:
            for mode, origin in origins.items():
                for number, (name, (count, size)) in enumerate(SETS.items()):
                    if name not in options.sets.split(",") or (mode == "far" and name not in FAR_SETS):
                        continue
                    setting = Setting(
                        [f"{origin}/{number}-{index}" for index in range(count)],
                        size,
                        base / "out",
                        base / "cert.pem" if mode == "tls" else None,
                    )
                    report(mode, name, count, size, measure(setting, tools, options.rounds, options.wait))


if __name__ == "__main__":
    main()
