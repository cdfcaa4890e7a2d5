"""Run the model.onnx beside this file: python predict.py FILE_OR_TEXT...

Needs onnxruntime and numpy, and Pillow to read images or soundfile to read audio. One line of JSON
is printed for each input.
"""

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime

PROBABILITIES = ("class logits", "label logits")


def read_image(path: str, reads: Any) -> Any:
    """Bytes [c, h, w]: upright, the shorter side resized, the center cut out."""
    from PIL import Image, ImageOps

    how, (_, h, w) = reads["prepare"], reads["shape"]
    image = ImageOps.exif_transpose(Image.open(path))
    if image.has_transparency_data:
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, how["background"]), image)
        image = image.convert("RGB")
    image = image.convert("L" if how["channels"] == 1 else "RGB")
    if h and image.size != (w, h):
        scale = round(h * how["margin"]) / min(image.size)
        wide, tall = max(w, round(image.width * scale)), max(h, round(image.height * scale))
        image = image.resize((wide, tall), Image.Resampling[how["interpolation"].upper()])
        left, top = (wide - w) // 2, (tall - h) // 2
        image = image.crop((left, top, left + w, top + h))
    pixels = np.asarray(image, np.uint8).reshape(image.height, image.width, -1).transpose(2, 0, 1)
    return pixels if reads["dtype"] == "uint8" else np.float32(pixels / 255)


def read_audio(path: str, reads: Any) -> Any:
    """Samples, the mean of all channels; cut, or filled up with zeros."""
    import soundfile

    samples, rate = soundfile.read(path, dtype="float32", always_2d=True)
    if rate != reads["prepare"]["sample_rate"]:
        sys.exit(f"{path} has {rate} samples a second; {reads['prepare']['sample_rate']} are read")
    clip = np.zeros(reads["shape"][0], np.float32)
    clip[: len(samples)] = samples.mean(1)[: len(clip)]
    return clip


def read_text(text: str, reads: Any) -> Any:
    """Bytes of UTF-8, cut where a character begins, or filled up with zeros."""
    length = reads["shape"][0]
    content = (Path(text).read_text("utf-8") if Path(text).is_file() else text).encode()
    whole = content[:length].decode(errors="ignore").encode().ljust(length, b"\0")
    return np.frombuffer(whole, np.uint8)


def main(model: Path, names: list[str]) -> None:
    """Print what the model makes of each input."""
    session = onnxruntime.InferenceSession(str(model), providers=["CPUExecutionProvider"])
    reads = json.loads(session.get_modelmeta().custom_metadata_map["mentee"])
    read = {"image": read_image, "audio": read_audio, "text": read_text}[reads["kind"]]
    for name in names:
        (outputs,) = session.run(None, {"input": read(name, reads)[None]})[0].astype(float)
        if reads["outputs"] == "class logits":
            outputs = np.exp(outputs - outputs.max()) / np.exp(outputs - outputs.max()).sum()
        elif reads["outputs"] == "label logits":
            outputs = 1 / (1 + np.exp(-outputs))
        named: Any = outputs.tolist()
        if reads["names"]:
            named = dict(zip(reads["names"], named, strict=True))
        what = "probabilities" if reads["outputs"] in PROBABILITIES else reads["output"]
        best = {"class": max(named, key=named.get)} if reads["outputs"] == "class logits" else {}
        print(json.dumps({"input": name, **best, what: named}, ensure_ascii=False))


if __name__ == "__main__":
    main(Path(__file__).with_name("model.onnx"), sys.argv[1:])
