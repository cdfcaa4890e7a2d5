"""Networks of the transformers package from local files: never fetched, no code of theirs run."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import torch

from mentee.errors import MenteeError
from mentee.models.packages import imported

READERS = {
    "AutoTokenizer": "the tokenizer's files",
    "AutoFeatureExtractor": "preprocessor_config.json",
    "AutoImageProcessor": "preprocessor_config.json",
}
"""What prepares inputs, and where it lies beside the weights."""


def load(name: str, where: Path | str, reader: str) -> tuple[Any, Any]:
    """What prepares the inputs, and the network, frozen.

    Args:
        name: of the teacher, for messages.
        where: a folder, or a cached hub name.
        reader: a name of `READERS`.

    Raises:
        MenteeError: transformers is missing, or cannot load this from local files.
    """
    transformers = imported("transformers", teacher=name)
    try:
        with silent(transformers):
            own = {"local_files_only": True, "trust_remote_code": False}
            prepare = getattr(transformers, reader).from_pretrained(where, **own)
            network = transformers.AutoModel.from_pretrained(
                where, use_safetensors=True, dtype=torch.float32, **own
            )
    except (OSError, ValueError, KeyError, ImportError) as error:
        raise MenteeError(
            f"{name}: transformers cannot load {where} from local files "
            f"({str(error).strip().partition(chr(10))[0]}); give a folder with config.json, "
            f"model.safetensors and {READERS[reader]}, or fetch the name beforehand"
        ) from error
    return prepare, network.eval().requires_grad_(False)


def kind_of(name: str, where: Path | str) -> Literal["text", "audio", "image"]:
    """What a network reads: what its `preprocessor_config.json` is of, text without one."""
    transformers = imported("transformers", teacher=name)
    try:
        with silent(transformers):
            path = transformers.utils.cached_file(
                where, "preprocessor_config.json", local_files_only=True
            )
    except OSError:
        return "text"
    said = json.loads(Path(path).read_text(encoding="utf-8"))
    return "audio" if "sampling_rate" in said else "image"


@contextlib.contextmanager
def silent(transformers: Any) -> Iterator[None]:
    """No progress bars nor notes while a network is loaded; the settings are put back."""
    logging = transformers.utils.logging
    level, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(level)
        if bars:
            logging.enable_progress_bar()
