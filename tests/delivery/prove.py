"""Carries the Dockerfile out without Docker: ``scripts/prove-dockerfile [--extras azure,...] [--python 3.12]``.

Each stage is a folder laid over what it begins with (overlayfs), and each step is run in there (chroot) as its USER.
Where the real base image has Debian with a Python in /usr/local, here it is this machine's Debian with everything
hidden that the base image has not: compilers, /usr/local, /opt, homes, this checkout. The image is then started as a
container would be: as its user, without a network, with a file system that cannot be written to.

Needs root, mount namespaces (the script makes one) and pip's way to the packages.
"""

import argparse
import json
import os
import shutil
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from tests.delivery.dockerfile import Dockerfile, Stage, context_files, copied, filled, pairs, read_dockerfile

ROOT = Path(__file__).parents[2]
HIDDEN = ("home", "media", "mnt", "opt", "root", "run", "srv", "tmp", "usr/local", "usr/lib/gcc", "var/tmp")
COMPILERS = ("cc", "c++", "gcc", "g++", "cpp", "c89", "c99", "make", "ld", "as", "git", "rustc", "cargo", "cmake")
PASSED_ON = ("PIP_CERT", "PIP_INDEX_URL", "PIP_EXTRA_INDEX_URL", "PIP_DEFAULT_TIMEOUT", "SSL_CERT_FILE")
PATH = "/usr/local/bin:/usr/local/sbin:/usr/sbin:/usr/bin:/sbin:/bin"
TINY = {
    "LAKE_USERS": "40",
    "LAKE_VIP_USERS": "4",
    "LAKE_PRODUCTS": "8",
    "LAKE_ORDERS_PER_HOUR": "4",
    "LAKE_PAGEVIEWS_PER_HOUR": "20",
}


@dataclass
class Built:
    """A stage as it stands: its layers, the lowest first, and what its later steps run with."""

    layers: list[Path]
    environment: dict[str, str] = field(default_factory=lambda: {"PATH": PATH})
    folder: str = "/"
    user: str = "0"
    command: str = ""


class Prover:
    """One build in the folder ``work``."""

    def __init__(self, work: Path, extras: str | None) -> None:
        self.work = work
        self.extras = extras
        self.context = context_files(ROOT)
        self.stages: dict[str, Built] = {}

    def build(self, dockerfile: Dockerfile, base: Built) -> Built:
        """The image: the last stage."""
        for stage in dockerfile.stages:
            begin = self.stages.get(stage.base, base)
            self.stages[stage.name] = self._stage(stage, begin)
        return self.stages[dockerfile.image.name]

    def _stage(self, stage: Stage, begin: Built) -> Built:
        layer = self.work / f"stage-{stage.name}"
        layer.mkdir()
        built = Built([*begin.layers, layer], dict(begin.environment), begin.folder, begin.user, begin.command)
        with mounted(self.work, begin.layers, layer) as root:
            for one in stage.instructions:
                started = time.monotonic()
                self._step(one.word, one.rest, built, root)
                print(f"{stage.name}: {one.word} {one.rest[:90]}  [{time.monotonic() - started:.1f} s]", flush=True)
        return built

    def _step(self, word: str, rest: str, built: Built, root: Path) -> None:
        if word == "RUN":
            run(root, built, ["/bin/sh", "-c", rest], network=True)
        elif word == "COPY":
            self._copy(rest, built, root)
        elif word == "ENV":
            built.environment.update({name: filled(value, built.environment) for name, value in pairs(rest).items()})
        elif word == "ARG":
            name, _, value = rest.partition("=")
            built.environment[name] = self.extras if name == "EXTRAS" and self.extras else value
        elif word == "WORKDIR":
            built.folder = rest
            (root / rest.lstrip("/")).mkdir(parents=True, exist_ok=True)
        elif word == "USER":
            built.user = rest
        elif word == "CMD":
            built.command = rest
        elif word not in ("LABEL", "EXPOSE"):
            sys.exit(f"Dockerfile: {word} is not known to {__name__}")

    def _copy(self, rest: str, built: Built, root: Path) -> None:
        one = copied(rest)
        target = root / os.path.join(built.folder, one.target).lstrip("/")
        if one.stage:
            with mounted(self.work, self.stages[one.stage].layers, None) as other:
                for source in one.sources:
                    subprocess.run(["cp", "-a", f"{other}{source.rstrip('/')}/.", _made(target)], check=True)
            return
        for source in one.sources:
            files = [name for name in self.context if name == source or name.startswith(f"{source.rstrip('/')}/")]
            if not files:
                sys.exit(f"COPY {source}: nothing of it is in the build context")
            for name in files:
                inside = name.removeprefix(f"{source.rstrip('/')}/") if name != source else Path(name).name
                place = target / inside
                place.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(ROOT / name, place)


def _made(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    return folder


# ---- a file system of layers -----------------------------------------------------------------------------------------


@contextmanager
def mounted(work: Path, layers: Sequence[Path], upper: Path | None) -> Iterator[Path]:
    """The layers as one file system, for as long as the block lasts; what is written goes to ``upper``, and without
    one nothing can be written."""
    scratch = Path(tempfile.mkdtemp(dir=work))
    root = _made(scratch / "root")
    options = "lowerdir=" + ":".join(str(layer) for layer in reversed(layers))
    if upper is not None:
        options += f",upperdir={upper},workdir={_made(scratch / 'work')}"
    mount = ["mount", "-t", "overlay", "overlay", "-o", options, str(root)]
    subprocess.run(mount, check=True)
    subprocess.run(["mount", "-t", "proc", "proc", root / "proc"], check=True)
    subprocess.run(["mount", "--rbind", "/dev", root / "dev"], check=True)
    tmpfs(root / "tmp", "1777")
    try:
        yield root
    finally:
        subprocess.run(["umount", "--recursive", "--lazy", root], check=True)


def tmpfs(place: Path, mode: str, owner: str = "0") -> None:
    options = f"mode={mode},uid={owner},gid={owner}"
    subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", place], check=True)


def base_image(work: Path, python: Path) -> Built:
    """This machine's Debian as the base image is: ``python`` is its only one, in /usr/local, and no compiler."""
    layer = _made(work / "base")
    for name in HIDDEN + tuple(_tops_of_this_project()):
        os.setxattr(_made(layer / name), "trusted.overlay.opaque", b"y")
    for name in ("tmp", "var/tmp"):
        (layer / name).chmod(0o1777)
    for program in _programs():
        place = layer / program.relative_to("/")
        place.parent.mkdir(parents=True, exist_ok=True)
        os.mknod(place, stat.S_IFCHR, os.makedev(0, 0))  # hides the one below
    shutil.copytree(
        python,
        layer / "usr/local",
        symlinks=True,
        dirs_exist_ok=True,
        ignore=shutil.ignore_patterns("__pycache__", "test"),
    )
    with mounted(work, [Path("/")], layer) as root:
        subprocess.run(["chroot", root, "ldconfig"], check=True)  # for libpython, where it is a library of its own
    return Built([Path("/"), layer])


def _tops_of_this_project() -> Iterable[str]:
    top = ROOT.resolve().parts[1]
    return () if top in HIDDEN else (top,)


def _programs() -> Iterator[Path]:
    for program in Path("/usr/bin").iterdir():
        plain = program.name.removeprefix("x86_64-linux-gnu-").removeprefix("aarch64-linux-gnu-")
        if plain.split("-")[0] in COMPILERS or program.name.startswith(("python", "pip")):
            yield program


# ---- what runs in it -------------------------------------------------------------------------------------------------


def command_in(root: Path, built: Built, command: Sequence[str], *, network: bool) -> list[str]:
    """``command`` as Docker starts it: in ``root``, in the WORKDIR, as the USER, with nothing of our environment."""
    home = "/root" if built.user == "0" else "/home/lake"
    environment = {**built.environment, "HOME": home}
    if network:
        environment |= {name: os.environ[name] for name in PASSED_ON if name in os.environ}
    drop = ["setpriv", "--reuid", built.user, "--regid", built.user, "--clear-groups", "--no-new-privs"]
    inside = ["env", "-i", f"--chdir={built.folder}", *(f"{name}={value}" for name, value in environment.items())]
    whole = ["chroot", str(root), *(drop if built.user != "0" else []), *inside, *command]
    if network:
        return whole
    return ["unshare", "--net", "sh", "-c", 'ip link set lo up && exec "$@"', "sh", *whole]


def run(root: Path, built: Built, command: Sequence[str], *, network: bool = False, most: float = 3600) -> str:
    done = subprocess.run(
        command_in(root, built, command, network=network), stdout=-1, stderr=-2, text=True, timeout=most
    )
    if done.returncode != 0:
        sys.exit(f"{' '.join(command)[:300]}\nended with {done.returncode}:\n{done.stdout[-4000:]}")
    return done.stdout


def megabytes(folder: Path) -> int:
    total = subprocess.run(["du", "--summarize", "--block-size=1M", folder], check=True, stdout=-1, text=True).stdout
    return int(total.split()[0])


def prove(work: Path, image: Built) -> None:
    """Starts the image as a container, and says what was seen."""
    with mounted(work, image.layers, None) as root:
        print("The file system cannot be written to, but for /tmp; there is no network")
        print("  user:", run(root, image, ["sh", "-c", "id -u; touch /opt/lake/x 2>&1 || true"]).replace("\n", " "))
        tools = f"for one in pip {' '.join(COMPILERS)}; do command -v $one || true; done"
        print("  pip and compilers:", run(root, image, ["sh", "-c", tools]).strip() or "none")
        for command in (["lake", "--version"], ["dagster-webserver", "--version"], ["dagster-daemon", "--version"]):
            print(f"  {' '.join(command)}:", run(root, image, command).strip())
        started = time.monotonic()
        run(root, image, ["sh", "-c", _UNTIL_IT_ANSWERS, "sh", *json.loads(image.command)])
        print(f"  the CMD answers after {time.monotonic() - started:.1f} s")
    with mounted(work, image.layers, None) as root:
        tmpfs(root / "opt/lake/.dagster", "755", image.user)
        started = time.monotonic()
        tiny = ["env", *(f"{name}={value}" for name, value in {**TINY, "LAKE_ROOT": "/tmp/lake"}.items())]
        run(root, image, [*tiny, "sh", "-c", _WITH_THE_WHEELS_INSTANCE, "sh", "dagster", *_EVERYTHING])
        rows = run(root, image, [*tiny, "lake", "query", "--format", "csv", "select count(*) from silver.users"])
        print(f"A tiny lake, from sources to gold, in {time.monotonic() - started:.1f} s: {rows.split()[-1]} users")


_EVERYTHING = (
    *("asset", "materialize", "-m", "dagster_lake.definitions"),
    *("--select", "*", "--partition", "2026-01-01T00"),
)
_WITH_THE_WHEELS_INSTANCE = """
export DAGSTER_HOME=$(python -c 'import dagster_lake; print(dagster_lake.__path__[0])')
exec "$@"
"""
_UNTIL_IT_ANSWERS = """
"$@" &
server=$!
for attempt in $(seq 100); do
    dagster api grpc-health-check --port 4000 && exec kill -9 $server
    kill -0 $server || exit 1
done
exit 1
"""


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--extras", help="instead of the Dockerfile's")
    arguments.add_argument("--python", type=Path, required=True, help="the folder of the Python, as /usr/local has it")
    chosen = arguments.parse_args()
    dockerfile = read_dockerfile((ROOT / "Dockerfile").read_text(encoding="utf-8"))
    with scratch() as work:
        prover = Prover(work, chosen.extras)
        image = prover.build(dockerfile, base_image(work, chosen.python))
        sizes = {
            "what others made": prover.stages["dependencies"].layers[-1] / "opt",
            "what we made": prover.stages["project"].layers[-1] / "project",
            "all of the image that is not its base": image.layers[-1],
        }
        for name, folder in sizes.items():
            print(f"{name}: {megabytes(folder)} MB")
        prove(work, image)


@contextmanager
def scratch() -> Iterator[Path]:
    """A folder in memory: layers may not lie within each other, and the lowest is this machine's disk."""
    folder = Path(tempfile.mkdtemp())
    tmpfs(folder, "755")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--recursive", "--lazy", folder], check=True)
        folder.rmdir()


if __name__ == "__main__":
    main()
