"""Triton's files: fetched once by the user's own pip or uv, checked, and unpacked into the cache.

They are those of a wheel on PyPI (`naiad.engine_release`), which is never installed as a package:
its requirements (NumPy 1, an older Python) are those of its Python code, which Naiad does not use.
"""

from __future__ import annotations

import hashlib
import logging
import os
import platform
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager, suppress
from importlib.metadata import PackageNotFoundError
from importlib.metadata import version as version_of
from pathlib import Path
from typing import Final

from naiad.artifacts import cache_directory, unpack
from naiad.engine_release import RELEASE, Wheel, numbers_of
from naiad.errors import ArtifactError, EngineError
from naiad.triton.paths import usable_cache

SERVER: Final = Path("pytriton", "tritonserver", "bin", "tritonserver")
"""The server's program among the files."""

NEEDED: Final = 256 << 20  # bytes: the wheel, and what is unpacked of it
CONTAINER: Final = f"nvcr.io/nvidia/tritonserver:{RELEASE.release}-py3"
ELSEWHERE: Final = (
    "Or serve the exported models in NVIDIA's container; from a clone of Naiad:\n"
    "  naiad export PIPELINE models\n"
    "  deploy/triton-environment.sh naiad-environment\n"
    "  docker run --rm --shm-size=1g -p 8000-8002:8000-8002 -v $PWD/models:/models:ro \\\n"
    f"    -v $PWD/naiad-environment:/naiad:ro {CONTAINER} \\\n"
    "    bash -c 'PATH=/naiad/bin:$PATH exec tritonserver --model-repository=/models'"
)

_PYTHON: Final = "3.12"  # any that the wheel's metadata allows: no Python code of it is run
_PROGRAMS: Final = ("bin/tritonserver", "python_backend_stubs/*/triton_python_backend_stub")

_log = logging.getLogger("naiad.triton")


def wheel_here() -> Wheel:
    """The wheel for this machine.

    Raises:
        EngineError: there is none, or this system is too old for it; says what to use instead.
    """
    system, machine = platform.system(), platform.machine()
    wheel = RELEASE.wheel(machine) if system == "Linux" else None
    if wheel is None:
        raise EngineError(
            f"the embedded Triton runs on Linux x86-64 and aarch64, and this is {system} {machine}."
            f"\n{ELSEWHERE}"
        )
    libc, version = platform.libc_ver()
    if libc != "glibc" or numbers_of(version) < numbers_of(RELEASE.glibc):
        raise EngineError(
            f"the embedded Triton needs glibc {RELEASE.glibc} or newer (Ubuntu 22.04, Debian 12, "
            f"RHEL 10), and this system has {libc or 'another C library'} {version}".rstrip()
            + f".\n{ELSEWHERE}"
        )
    return wheel


def installed() -> Path | None:
    """The folder with the files, if they are in the cache."""
    wheel = RELEASE.wheel(platform.machine())
    if wheel is None:
        return None
    folders = (_folder(cache, wheel) for cache in _caches())
    return next((folder for folder in folders if is_complete(folder)), None)


def is_complete(folder: Path) -> bool:
    """Whether a folder has the files, unpacked."""
    return is_program(folder / SERVER) and (folder / "nvidia_pytriton.libs").is_dir()


def is_program(path: Path) -> bool:
    """Whether this process may run a file, by all the rights that it has."""
    return os.access(path, os.X_OK, effective_ids=os.access in os.supports_effective_ids)


def install(
    wheel: Path | None = None, *, directory: Path | None = None, progress: bool = False
) -> Path:
    """Return the folder with Triton's files; fetch and unpack them if they are not there yet.

    Safe to call from many processes at once: one of them fetches.

    Args:
        wheel: the file, downloaded before; by default pip fetches it, as it is configured, or uv
            where there is no pip.
        directory: where the files go, a new or empty folder; by default into the cache.
        progress: say on standard error what is done, and show the bar of pip.

    Raises:
        EngineError: it cannot be had or unpacked, is another file, or is of no use here.
    """
    known = wheel_here()
    if directory is None:
        if found := installed():
            return found
        target = _folder(usable_cache(), known)
    else:
        target = directory.absolute()
        if is_complete(target):
            return target
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        check_space(target.parent, NEEDED)
        with _one_at_a_time(target), _draft(target) as draft:
            if not is_complete(target):  # else another process was first
                _move(_files(known, wheel, draft, progress), target, replace=directory is None)
    except OSError as error:
        raise EngineError(
            f"Triton's files cannot be written to {target}: {error.strerror or error}"
        ) from error
    return target


def check_space(folder: Path, needed: int) -> None:
    """Check that a folder's file system has room for ``needed`` bytes.

    Raises:
        EngineError: it has not.
    """
    free = shutil.disk_usage(folder).free
    if free < needed:
        raise EngineError(
            f"{folder} has {free >> 20} MiB of free space, and Triton's files take "
            f"{needed >> 20}; set NAIAD_CACHE to a folder with more"
        )


def check(wheel: Path, known: Wheel) -> None:
    """Check that a file is the ``known`` wheel.

    Raises:
        EngineError: it is not there, or another.
    """
    if not wheel.is_file():
        raise EngineError(f"{wheel}: no such file; {_where(known)}")
    with wheel.open("rb") as file:
        digest = hashlib.sha256()
        while chunk := file.read(1 << 20):
            digest.update(chunk)
    if digest.hexdigest() != known.sha256:
        raise EngineError(
            f"{wheel} is not the file that Naiad knows as {known.filename}: its sha256 is "
            f"{digest.hexdigest()}, and must be {known.sha256}; {_where(known)}"
        )


def _files(known: Wheel, wheel: Path | None, draft: Path, progress: bool) -> Path:
    """Put the files into ``draft``; return their folder."""
    files = draft / "files"
    if wheel is None:
        tool = _tool()
        message = (
            f"Fetching Triton {RELEASE.release} ({known.size / 1e6:.0f} MB, once) by {tool[0]}"
        )
        _say(message, progress)
        if tool[0] == "uv":
            _install_by_uv(tool[1:], known, draft, files)
        else:
            wheel = _download_by_pip(tool[1:], known, draft, progress)
    if wheel is not None:
        check(wheel, known)
        try:
            unpack(wheel, files)
        except ArtifactError as error:
            raise EngineError(f"Triton's files: {error}") from error
    for pattern in _PROGRAMS:
        for program in (files / SERVER).parents[1].glob(pattern):
            program.chmod(0o755)
    if not is_complete(files):
        raise EngineError(f"{known.filename} holds no Triton; {_where(known)}")
    _say(f"Triton {RELEASE.release} is unpacked", progress)
    return files


def _tool() -> tuple[str, ...]:
    """``pip`` or ``uv`` and the command that runs it."""
    with suppress(PackageNotFoundError):
        version_of("pip")
        return "pip", sys.executable, "-m", "pip"
    if uv := shutil.which("uv"):
        return "uv", uv
    raise EngineError(
        f"Triton's files are fetched by pip or uv, and {sys.executable} has neither; "
        f"{_where(RELEASE.wheels[0])}"
    )


def _download_by_pip(pip: Sequence[str], known: Wheel, draft: Path, progress: bool) -> Path:
    watched = progress and sys.stderr.isatty()
    command = [
        *(*pip, "download", "--no-deps", "--only-binary=:all:", "--no-input", "--dest", str(draft)),
        *("--platform", known.platform, "--python-version", _PYTHON),
        *("--implementation", "py", "--abi", "none"),
        f"{RELEASE.package}=={RELEASE.version}",
    ]
    # Nothing is installed, and the hash is checked here.
    own = {"PIP_REQUIRE_VIRTUALENV": "0", "PIP_REQUIRE_HASHES": "0"}
    done = subprocess.run(
        command,
        env=os.environ | own,
        stdout=sys.stderr.fileno() if watched else subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        errors="replace",
        check=False,
    )
    found = next(draft.glob("*.whl"), None)
    if done.returncode or found is None:
        raise EngineError(_failure("pip", done.stderr, known))
    return found


def _install_by_uv(uv: Sequence[str], known: Wheel, draft: Path, files: Path) -> None:
    """Have uv check the wheel's hash and unpack it: it keeps no wheels as files."""
    requirements = draft / "requirements.txt"
    requirements.write_text(
        f"{RELEASE.package}=={RELEASE.version} --hash=sha256:{known.sha256}\n", "utf-8"
    )
    libc = f"manylinux_{RELEASE.glibc.replace('.', '_')}"
    command = [
        *(*uv, "pip", "install", "--no-deps", "--only-binary", ":all:", "--require-hashes"),
        *("--python", sys.executable, "--python-version", _PYTHON, "--target", str(files)),
        *("--python-platform", f"{known.machine}-{libc}"),
        *("--requirement", str(requirements)),
    ]
    done = subprocess.run(command, capture_output=True, text=True, errors="replace", check=False)
    if done.returncode:
        raise EngineError(_failure("uv", done.stderr, known))


def _failure(tool: str, said: str, known: Wheel) -> str:
    """Why a file was not had, in plain words, and what to do."""
    if "Hash mismatch" in said:
        reason = "the index has another file under that name, with another hash"
    elif any(sign in said for sign in ("Retrying", "Failed to fetch", "dns error")):
        reason = "the package index does not answer"
    else:
        reason = f"{tool} failed"
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    told = [line for line in lines if line.startswith(("ERROR", "error", "Caused by"))]
    last = "\n".join(f"  {line}" for line in (told or lines)[-4:])
    return (
        f"Triton's files ({known.filename}) could not be fetched: {reason}. {tool} says\n{last}\n"
        f"It uses your own configuration of {tool} (index, proxy, certificates). Without a "
        f"network: {_where(known)}"
    )


def _where(known: Wheel) -> str:
    return (
        f"get {known.filename} from {RELEASE.page} and run `naiad engine install --wheel "
        f"{known.filename}`"
    )


def _say(message: str, progress: bool) -> None:
    if progress:
        print(message, file=sys.stderr, flush=True)
    else:
        _log.info("%s", message)


def _folder(cache: Path, wheel: Wheel) -> Path:
    return cache / "triton" / f"{RELEASE.release}-{wheel.sha256[:12]}"


def _caches() -> Iterator[Path]:
    """Where the files may be: also in a cache that others have filled and that is read-only."""
    yield cache_directory()
    yield usable_cache()


@contextmanager
def _one_at_a_time(target: Path) -> Generator[None]:
    """Have other processes that write the same folder wait."""
    import fcntl  # of Unix alone

    folder = os.open(target.parent, os.O_RDONLY)
    try:
        with suppress(OSError):  # a file system without locks: several may fetch, one wins
            fcntl.flock(folder, fcntl.LOCK_EX)
        yield
    finally:
        os.close(folder)


@contextmanager
def _draft(target: Path) -> Generator[Path]:
    folder = Path(tempfile.mkdtemp(prefix=".draft-", dir=target.parent))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _move(files: Path, target: Path, *, replace: bool) -> None:
    """Give the files their name; a folder of that name is damaged, and may be ours to replace."""
    files.chmod(0o755)
    try:
        files.rename(target)
    except OSError:
        if is_complete(target):  # another process was first
            return
        if not replace:
            raise EngineError(f"{target} exists and is not empty; name a new folder") from None
        target.rename(files.with_name("damaged"))
        files.rename(target)
