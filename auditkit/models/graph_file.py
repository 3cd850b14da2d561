"""The graph in a model's folder that ONNX Runtime loads without auditkit. It is never opened here.

A graph that came with a model could compute anything. So the graph that is audited is made of the
saved weights, and the file in the folder has to be the same, byte for byte.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path

from auditkit.errors import ModelError
from auditkit.models.answer_key import installed_version
from auditkit.run_as import GRAPHS, PACKAGES, RunAs


def installed_versions() -> dict[str, str]:
    """Versions of the packages that a graph or quantized weights depend on."""
    found = {package: installed_version(package) for package in PACKAGES}
    return {package: version for package, version in found.items() if version is not None}


class GraphFile:
    """The file of one backend in a folder that says it is run by that backend.

    Args:
        folder: The model's folder.
        backend: Which file. Where the folder does not say that it is run so, there is none.

    Attributes:
        digest: SHA-256 of the file; empty when there is none.

    Raises:
        ModelError: The folder says what is not known.
    """

    def __init__(self, folder: Path, backend: str) -> None:
        said = RunAs.of(folder)
        self._said = said if said is not None and said.backend == backend else None
        self._file = folder / GRAPHS[backend]
        self.digest = ""
        if self._said is not None and self._file.is_file():
            with self._file.open("rb") as stream:
                self.digest = hashlib.file_digest(stream, "sha256").hexdigest()

    def require(self, made: str) -> None:
        """Refuse a file that is not what was made of the weights.

        Args:
            made: SHA-256 of that.

        Raises:
            ModelError: The file is another.
        """
        if self._said is None or not self.digest or self.digest == made:
            return
        raise ModelError(
            f"{self._file} is not what the folder's weights come to here "
            f"({_listed(installed_versions())}); it was made with "
            f"{_listed(self._said.made_with)}.",
            "Make the folder again with this version of the packages. If they are the same, the "
            "file was changed.",
        )

    def sentence(self) -> str:
        """For the report, with a blank before; empty when there is no file."""
        if not self.digest:
            return ""
        return f" {self._file.name} in the folder is the same, byte for byte."


def _listed(versions: Mapping[str, str]) -> str:
    return ", ".join(f"{name} {number}" for name, number in versions.items()) or "unknown versions"
