"""Encoders of clips and images, from tiny networks that are written to disk."""

import numpy as np
import pytest
import torch

from mentee.errors import MenteeError
from mentee.teachers.pretrained import find_embedder

transformers = pytest.importorskip("transformers", reason="transformers is not installed")


def saved(path, network, prepare):
    for each in (network, prepare):
        each.save_pretrained(path)
    return f"transformers:{path}", network.eval()


@pytest.fixture(scope="module")
def hearing(tmp_path_factory):
    torch.manual_seed(0)
    config = transformers.Wav2Vec2Config(
        hidden_size=12,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=16,
        conv_dim=(8, 8),
        conv_stride=(5, 4),
        conv_kernel=(10, 8),
        num_feat_extract_layers=2,
        num_conv_pos_embeddings=4,
        num_conv_pos_embedding_groups=2,
    )
    prepare = transformers.Wav2Vec2FeatureExtractor(sampling_rate=8000, do_normalize=True)
    path = tmp_path_factory.mktemp("hearing")
    return saved(path, transformers.Wav2Vec2Model(config), prepare)


def test_a_network_of_images_and_texts_is_refused(tmp_path):
    part = {"hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2}
    part["intermediate_size"] = 8
    config = transformers.CLIPConfig(
        text_config={**part, "vocab_size": 9, "max_position_embeddings": 7},
        vision_config={**part, "image_size": 16, "patch_size": 8},
        projection_dim=8,
    )
    size = {"height": 16, "width": 16}
    prepare = transformers.ViTImageProcessor(size=size)
    name, _ = saved(tmp_path, transformers.CLIPModel(config), prepare)
    with pytest.raises(MenteeError, match=r"does not read image alone \(.*\); wrap the part that"):
        find_embedder(name)


@pytest.fixture(scope="module")
def seeing(tmp_path_factory):
    torch.manual_seed(0)
    config = transformers.ViTConfig(
        hidden_size=12,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=16,
        image_size=16,
        patch_size=8,
    )
    size = {"height": 16, "width": 16}
    prepare = transformers.ViTImageProcessor(size=size)
    path = tmp_path_factory.mktemp("seeing")
    return saved(path, transformers.ViTModel(config, add_pooling_layer=False), prepare)


def test_a_clip_is_the_mean_of_its_frames(hearing):
    name, network = hearing
    it = find_embedder(name)
    assert (it.kind, it.sample_rate, it.width) == ("audio", 8000, 12)
    clips = [torch.randn(4000), torch.randn(2500) * 3 + 1]
    said = it.pooled(clips)
    for clip, found in zip(clips, said, strict=True):
        x = clip.double().numpy()
        x = torch.from_numpy((x - x.mean()) / np.sqrt(x.var() + 1e-7)).float()
        with torch.no_grad():
            frames = network(x[None]).last_hidden_state[0]
        torch.testing.assert_close(found, frames.mean(0), rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(it.frames(clips[:1]).mean(1), said[:1])


def test_a_clip_of_one_sample_is_filled_up(hearing):
    it = find_embedder(hearing[0])
    assert torch.isfinite(it.pooled([torch.ones(1), torch.zeros(9)])).all()


def test_an_image_is_the_mean_of_its_tokens(seeing):
    name, network = seeing
    it = find_embedder(name)
    assert (it.kind, it.sample_rate, it.width) == ("image", None, 12)
    images = torch.randint(256, (18, 16, 16, 3)).to(torch.uint8)
    x = (images.permute(0, 3, 1, 2) / 255 - 0.5) / 0.5
    with torch.no_grad():
        expected = network(x).last_hidden_state.mean(1)
    torch.testing.assert_close(it.pooled(images), expected, rtol=1e-4, atol=1e-5)
    gray = images[:, :, :, :1]
    torch.testing.assert_close(it.pooled(gray), it.pooled(gray.expand(-1, -1, -1, 3)))
    unit = find_embedder(name, normalize=True).pooled(images)
    torch.testing.assert_close(unit.norm(dim=1), torch.ones(18))


def test_of_a_network_with_a_decoder_the_encoder_hears(tmp_path):
    tokens = dict.fromkeys(("pad", "bos", "eos", "decoder_start"), 1)
    config = transformers.WhisperConfig(
        d_model=8,
        encoder_layers=1,
        decoder_layers=1,
        encoder_attention_heads=2,
        decoder_attention_heads=2,
        encoder_ffn_dim=8,
        decoder_ffn_dim=8,
        vocab_size=9,
        **{f"{name}_token_id": number for name, number in tokens.items()},
    )
    prepare = transformers.WhisperFeatureExtractor()
    name, network = saved(tmp_path, transformers.WhisperModel(config), prepare)
    clip = torch.randn(3000)
    given = prepare(clip.numpy(), sampling_rate=16000, return_tensors="pt")["input_features"]
    with torch.no_grad():
        expected = network.encoder(given).last_hidden_state.mean(1)
    torch.testing.assert_close(find_embedder(name).pooled([clip]), expected, rtol=1e-4, atol=1e-5)


def test_maps_are_averaged_over_their_cells(tmp_path):
    config = transformers.ResNetConfig(embedding_size=8, hidden_sizes=[8, 12], depths=[1, 1])
    prepare = transformers.ViTImageProcessor(size={"height": 32, "width": 32})
    name, network = saved(tmp_path, transformers.ResNetModel(config), prepare)
    images = torch.randint(256, (2, 32, 32, 3)).to(torch.uint8)
    with torch.no_grad():
        maps = network((images.permute(0, 3, 1, 2) / 255 - 0.5) / 0.5).last_hidden_state
    expected = torch.stack([maps[:, :, i, j] for i in range(4) for j in range(4)]).mean(0)
    assert maps.shape[2:] == (4, 4)
    torch.testing.assert_close(find_embedder(name).pooled(images), expected, rtol=1e-4, atol=1e-5)


def test_the_fingerprint_is_of_the_weights(hearing, seeing):
    assert find_embedder(hearing[0]).fingerprint() == find_embedder(hearing[0]).fingerprint()
    assert find_embedder(hearing[0]).fingerprint() != find_embedder(seeing[0]).fingerprint()


def test_what_does_not_fit_is_refused(hearing, seeing):
    with pytest.raises(MenteeError, match="reads audio, which has no tokens; leave out tokens=9"):
        find_embedder(hearing[0], tokens=9)
    with pytest.raises(
        MenteeError, match=r"option kind is 'sound': input should be 'text', 'audio"
    ):
        find_embedder(hearing[0], kind="sound")
    with pytest.raises(MenteeError, match=r"cannot load .*preprocessor_config\.json"):
        find_embedder(seeing[0], kind="audio")
