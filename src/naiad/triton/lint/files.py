"""Checks of the files beside a config: versions, model files, labels and signatures."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

from naiad.errors import MissingExtra, NaiadError, RepositoryError
from naiad.runtime.mixing import tried
from naiad.triton.backends.binding import bind
from naiad.triton.backends.completion import completed
from naiad.triton.backends.exported import exported_pipeline
from naiad.triton.backends.remedies import without_tensorflow
from naiad.triton.backends.signature import read_signature
from naiad.triton.backends.tensorflow_file import tensorflow_is_installed
from naiad.triton.config import model_config
from naiad.triton.lint.config import is_pipeline
from naiad.triton.lint.finding import Finding, error, warning
from naiad.triton.model_config import CONFIG, ModelConfig, versions
from naiad.triton.repository import ExportedModel

_BY_FILE = ("pytorch", "onnxruntime", "openvino", "tensorflow")


def check_files(config: ModelConfig, *, load: bool) -> Iterator[Finding]:
    """Check a model's files; with ``load`` they are loaded and compared."""
    yield from _check_labels(config)
    there = versions(config.path)
    yield from _check_folders(config, there)
    served = _served(config, there)
    yield from _check_policy(config, there)
    if config.backend == "ensemble":
        return
    for version in served:
        yield from _check_version(config, version, load=load)


def _served(config: ModelConfig, there: list[int]) -> list[int]:
    """Return the versions that the policy serves."""
    policy = config.message.version_policy
    if policy.HasField("all"):
        return there
    if policy.HasField("specific"):
        return [version for version in policy.specific.versions if version in there]
    return there[-max(1, policy.latest.num_versions) :]


def _check_policy(config: ModelConfig, there: list[int]) -> Iterator[Finding]:
    asked = config.message.version_policy.specific.versions
    found = warning if {*asked} & {*there} else error
    for version in asked:
        if there and version not in there:
            yield found(
                f"{CONFIG}: version_policy.specific.versions has {version}; there are "
                f"{', '.join(map(str, there))}"
            )


def _check_folders(config: ModelConfig, there: list[int]) -> Iterator[Finding]:
    folders = sorted(path.name for path in config.path.iterdir() if path.is_dir())
    odd = [name for name in folders if not name.isdecimal() or name.startswith("0")]
    if not there:
        held = f"; {', '.join(odd)} is not a version number" if odd else ""
        empty = " (empty for an ensemble)" if config.backend == "ensemble" else ""
        yield error(f"{config.path.name}/ has no version: make a folder 1{empty}{held}")
        return
    for name in odd:
        if any((config.path / name / file).exists() for file in ("model.py", "model.pt")) or (
            name.isdecimal()
        ):
            yield warning(f"{name}/ is not a version to Triton: name it 1, 2, 10, ...")


def _check_labels(config: ModelConfig) -> Iterator[Finding]:
    for number, output in enumerate(config.message.output):
        if not output.label_filename:
            continue
        field = f"{CONFIG}: output[{number}].label_filename is {output.label_filename!r}"
        file = config.path / output.label_filename
        if not file.is_file():
            yield error(f"{field}; no such file in {config.path.name}/")
            continue
        labels = len(file.read_text(encoding="utf-8", errors="replace").splitlines())
        classes = output.dims[-1] if output.dims else -1
        if classes not in (-1, labels):
            yield warning(f"{field} with {labels} labels, but {output.name} has {classes} classes")


def _check_version(config: ModelConfig, version: int, *, load: bool) -> Iterator[Finding]:
    if is_pipeline(config):
        if load:
            yield from _check_pipeline(config, version)
        return
    try:
        file = config.model_file(version)
    except RepositoryError as problem:
        if config.backend in ("python", *_BY_FILE):
            yield error(str(problem))
        return
    if config.backend == "python":
        yield from _check_python(file)
    elif config.backend == "tensorflow" and not tensorflow_is_installed():
        yield error(str(without_tensorflow(config, file)))
    elif load and config.backend in _BY_FILE:
        yield from _check_signature(config, file)


def _check_python(file: Path) -> Iterator[Finding]:
    where = f"{file.parent.name}/{file.name}"
    try:
        tree = ast.parse(file.read_text(encoding="utf-8"))
    except (SyntaxError, ValueError) as problem:
        line = f", line {problem.lineno}" if isinstance(problem, SyntaxError) else ""
        yield error(f"{where}{line}: {problem}")
        return
    named = {"TritonPythonModel"}
    for node in tree.body:
        if isinstance(node, ast.ClassDef):
            named.discard(node.name)
        elif isinstance(node, ast.Assign):
            named -= {target.id for target in node.targets if isinstance(target, ast.Name)}
        elif isinstance(node, ast.ImportFrom):
            named -= {alias.asname or alias.name for alias in node.names}
    if named:
        yield error(f"{where} has no class TritonPythonModel, which the Python backend loads")


def _check_pipeline(config: ModelConfig, version: int) -> Iterator[Finding]:
    try:
        pipeline = ExportedModel(config.name, config.path).pipeline(version)
    except MissingExtra as problem:
        yield warning(f"version {version} is not compared with its pipeline: {problem}")
        return
    except Exception as problem:  # the user's code
        yield error(f"{version}/ does not load: {type(problem).__name__}: {problem}")
        return
    exported = model_config(type(pipeline), {}, name=config.name)
    for kind in ("input", "output"):
        wanted = {t.name: (t.data_type, [*t.dims]) for t in getattr(exported, kind)}
        given = {t.name: (t.data_type, [*t.dims]) for t in getattr(config.message, kind)}
        for name in sorted(wanted.keys() | given.keys()):
            if wanted.get(name) != given.get(name):
                yield error(
                    f"{CONFIG}: {kind} {name!r} differs from the pipeline of version {version}; "
                    f"run `naiad export` again"
                )
    if wrong := tried(pipeline, config.parameters.get("device", "cpu")):
        yield warning(f"{version}/: {wrong}")


def _check_signature(config: ModelConfig, file: Path) -> Iterator[Finding]:
    try:
        signature = read_signature(file, config)
        whole = completed(config, signature)
        bind(whole, signature)
        exported_pipeline(whole, file.parent.name)
    except MissingExtra as problem:
        yield warning(f"{file.parent.name}/{file.name} is not compared with {CONFIG}: {problem}")
    except NaiadError as problem:
        yield error(str(problem))
