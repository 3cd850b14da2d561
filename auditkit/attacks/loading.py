"""Loads what a user supplied for attacks: looked through first, and nothing in it is run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from auditkit.models.model_folder import inspect_folder
from auditkit.models.transformers_loading import silenced


def load_part(loader: Any, folder: Path) -> Any:
    """A model or tokenizer from a folder by its transformers class, running nothing in it.

    Raises:
        UnsafeModelError: Loading the folder could run code.
        ModelError: It is damaged.
    """
    import transformers

    inspect_folder(folder)
    options: dict[str, Any] = {"local_files_only": True}
    if "Tokenizer" not in loader.__name__:
        options["use_safetensors"] = True
    if loader.__name__.startswith("Auto"):
        options["trust_remote_code"] = False
    with silenced(transformers.utils.logging):
        return loader.from_pretrained(str(folder.absolute()), **options)
