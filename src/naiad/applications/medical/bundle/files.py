"""A MONAI bundle on disk: a folder, or a TorchScript file with its configs.

::

    spleen/configs/metadata.json              inputs and outputs of the network
    spleen/configs/inference.json or .yaml    transforms, inferer, network
    spleen/configs/common.json or .yaml       entries that other configs share, if any
    spleen/models/model.ts                    the network as TorchScript; or
    spleen/models/model.pt                    its parameters, for the config's ``network_def``; or
    spleen/models/*.pt                        those of networks that the config loads itself

This is MONAI's bundle specification (docs.monai.io, "MONAI Bundle Specification"). ``python -m
monai.bundle ckpt_export`` writes a single file. Nothing here needs torch or MONAI, or evaluates the
config.
"""

from __future__ import annotations

import json
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any, Final

from naiad.errors import MissingExtra, RepositoryError
from naiad.files import suffix_of

METADATA: Final = "metadata.json"
INFERENCE: Final = ("inference.json", "inference.yaml", "inference.yml")
COMMON: Final = ("common.json", "common.yaml", "common.yml")
"""Config that others are added to, as in ``--config_file "['common.json','inference.json']"``."""
TORCHSCRIPT: Final = "models/model.ts"
PARAMETERS: Final = "models/model.pt"

_NETWORKS: Final = (".pt", ".pth", ".ts")
_LARGEST_CONFIG: Final = 16 << 20
_EXTRA: Final = "/extra/"  # the folder in TorchScript of files saved with it


@dataclass(frozen=True, slots=True)
class BundleFiles:
    """The files of a bundle.

    Attributes:
        root: its folder, or that of its single file.
        metadata: content of ``metadata.json``.
        metadata_file: name of that file in messages.
        config_file: name of the inference config in messages. As messages come from where a copy of
            the bundle is loaded, it is relative to the bundle.
        network: the file of the network or of its parameters; None if only the config says which
            files its networks have.
        torchscript: whether ``network`` is a whole network.
    """

    root: Path
    metadata: Mapping[str, Any]
    metadata_file: str
    config_file: str
    network: Path | None
    torchscript: bool
    _texts: Mapping[str, str]

    def configs(self) -> list[dict[str, Any]]:
        """Read the common config, if there is one, and the inference config; evaluate nothing.

        Raises:
            RepositoryError: one is not JSON or YAML, or not a mapping; says where.
            MissingExtra: one is YAML, and PyYAML is not installed.
        """
        return [_parsed(name, text) for name, text in self._texts.items()]

    def macro_file(self, path: str) -> Path:
        """Return the file that a macro of the config, such as ``%configs/net.json::unet``, names.

        Paths are relative to the bundle, where MONAI's commands run, or to its configs.

        Raises:
            RepositoryError: there is no such file.
        """
        there = [self.root / path, self.root / "configs" / path]
        found = next((place for place in there if place.is_file()), None)
        if found is None:
            raise self.wrong_config(f"the macro %{path} needs {there[0]}, which is missing")
        return found

    def wrong_metadata(self, what: str) -> RepositoryError:
        """Return the error that ``metadata.json`` is wrong."""
        return RepositoryError(f"{self.metadata_file}: {what}")

    def wrong_config(self, what: str) -> RepositoryError:
        """Return the error that the inference config is wrong."""
        return RepositoryError(f"{self.config_file}: {what}")


def open_bundle(path: Path) -> BundleFiles:
    """Find the files of the bundle at ``path`` and read its metadata.

    Raises:
        RepositoryError: a file is missing, too large, or not what its name says.
    """
    if path.is_dir():
        return _from_folder(path)
    if path.is_file():
        return _from_torchscript(path)
    raise RepositoryError(f"{path}: no such bundle; give its folder, or a .ts file")


def read_config(path: Path) -> dict[str, Any]:
    """Read a JSON or YAML file.

    Raises:
        RepositoryError: it is too large, or not a mapping; says where.
        MissingExtra: it is YAML, and PyYAML is not installed.
    """
    return _parsed(str(path), _read(path))


def _from_folder(root: Path) -> BundleFiles:
    metadata = root / "configs" / METADATA
    if not metadata.is_file():
        raise RepositoryError(
            f"{metadata} is missing; a MONAI bundle is a folder with configs/{METADATA}, "
            f"configs/{INFERENCE[0]} (or .yaml) and {TORCHSCRIPT} (or {PARAMETERS})"
        )
    config = _first(root, [f"configs/{name}" for name in INFERENCE])
    common = [path for path in (root / "configs" / name for name in COMMON) if path.is_file()][:1]
    network = next(
        (path for path in (root / TORCHSCRIPT, root / PARAMETERS) if path.is_file()), None
    )
    if network is None and not any(suffix_of(path) in _NETWORKS for path in root.glob("models/*")):
        network = _first(root, [TORCHSCRIPT, PARAMETERS])  # says what is missing
    return BundleFiles(
        root=root,
        metadata=read_config(metadata),
        metadata_file=str(metadata),
        config_file=str(config.relative_to(root)),
        network=network,
        torchscript=network is not None and _is_torchscript(network),
        _texts={str(path.relative_to(root)): _read(path) for path in (*common, config)},
    )


def _first(root: Path, names: list[str]) -> Path:
    found = next((root / name for name in names if (root / name).is_file()), None)
    if found is None:
        raise RepositoryError(f"{root / names[0]} is missing, and so is {' and '.join(names[1:])}")
    return found


def _from_torchscript(path: Path) -> BundleFiles:
    texts: dict[str, str] = {}
    try:
        with zipfile.ZipFile(path) as archive:
            for member in archive.infolist():
                name = member.filename.rpartition(_EXTRA)[2]
                if _EXTRA in member.filename and name in (METADATA, *INFERENCE, *COMMON):
                    _check_size(f"{path}: {name}", member.file_size)
                    texts[name] = archive.read(member).decode("utf-8")
    except (OSError, zipfile.BadZipFile, UnicodeDecodeError) as error:
        raise RepositoryError(
            f"{path}: it must be a bundle's folder, or TorchScript as `python -m monai.bundle "
            f"ckpt_export` writes it ({error})"
        ) from None
    config = next((name for name in INFERENCE if name in texts), None)
    if METADATA not in texts or config is None:
        missing = METADATA if METADATA not in texts else INFERENCE[0]
        raise RepositoryError(
            f"{path}: TorchScript without {missing} in it; export it with `python -m monai.bundle "
            f"ckpt_export`, which puts the configs in, or make a folder with configs/{METADATA}, "
            f"configs/{INFERENCE[0]} and this file as {TORCHSCRIPT}"
        )
    metadata_file = f"{path}: {METADATA}"
    return BundleFiles(
        root=path.parent,
        metadata=_parsed(metadata_file, texts[METADATA]),
        metadata_file=metadata_file,
        config_file=config,
        network=path,
        torchscript=True,
        _texts={name: texts[name] for name in (*COMMON, config) if name in texts},
    )


def _is_torchscript(path: Path) -> bool:
    """Return True if a file is a network (a program), not only parameters."""
    try:
        with zipfile.ZipFile(path) as archive:
            return any(name.endswith("/constants.pkl") for name in archive.namelist())
    except zipfile.BadZipFile:
        return False  # parameters in torch's older format
    except OSError as error:
        raise RepositoryError(f"{path}: cannot be read ({error})") from error


def _read(path: Path) -> str:
    try:
        _check_size(str(path), path.stat().st_size)
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise RepositoryError(f"{path}: cannot be read as text ({error})") from error


def _check_size(name: str, size: int) -> None:
    if size > _LARGEST_CONFIG:
        raise RepositoryError(f"{name} has {size:,} bytes; a config may have {_LARGEST_CONFIG:,}")


def _parsed(name: str, text: str) -> dict[str, Any]:
    if name.endswith(".json"):
        try:
            found: Any = json.loads(text)
        except ValueError as error:
            raise RepositoryError(f"{name}: not JSON: {error}") from None
    else:
        try:
            yaml = import_module("yaml")
        except ImportError:
            raise MissingExtra("bundle", "pyyaml") from None
        try:
            found = yaml.safe_load(text)
        except yaml.YAMLError as error:
            raise RepositoryError(f"{name}: not YAML: {error}") from None
    if not isinstance(found, dict):
        raise RepositoryError(f"{name}: it has a {type(found).__name__}; it must be a mapping")
    return found
