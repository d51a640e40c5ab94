"""Files that are not what was asked for: what each is, in its user's words, and the way out."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from scorer.errors import BundleError

_SAVE = "in the session that trained the model: model.save('model.keras')"
_TOKENIZER = "open('tokenizer.json', 'w').write(tokenizer.to_json())"
_PICKLE = (
    "a pickle, which runs code when it is loaded, so it is never opened: in Python, for a "
    f"tokenizer, {_TOKENIZER}; for a model, model.save('model.keras')"
)
ZIP, HDF5 = b"PK\x03\x04", b"\x89HDF"

#: what a file begins with -> what it is
_STARTS: Sequence[tuple[bytes, str]] = (
    (b"\x80", _PICKLE),
    (b"\x1f\x8b", "compressed by gzip: unpack it first"),
    (b"BZh", "compressed by bzip2: unpack it first"),
    (b"\xfd7zXZ", "compressed by xz: unpack it first"),
    (b"\x93NUMPY", "a NumPy array, which holds weights at most and no model: " + _SAVE),
    (b"version https://git-lfs", "a Git LFS pointer to a file that is not here: run git lfs pull"),
)
#: the end of a name -> what the file is, where its bytes do not say it
_SUFFIXES = {
    ".pb": f"a part of a SavedModel, which holds a TensorFlow program: {_SAVE}",
    ".tflite": f"a TensorFlow Lite model, which holds no layers of Keras: {_SAVE}",
    ".onnx": f"an ONNX model, which holds no layers of Keras: {_SAVE}",
    ".pt": "a PyTorch model, which is a pickle of Python objects and is never opened",
    ".pth": "a PyTorch model, which is a pickle of Python objects and is never opened",
    ".safetensors": "weights without a model, and only models of Keras are read",
    ".pkl": _PICKLE,
    ".pickle": _PICKLE,
    ".joblib": _PICKLE.replace("a pickle", "a joblib file, which is a pickle"),
    ".py": "a Python program, which is never run: give the file that it saves",
    ".ipynb": "a notebook, which is never run: give the file that it saves",
    ".ckpt": f"a checkpoint, which holds weights without their model: {_SAVE}",
    ".index": f"a part of a checkpoint, which holds weights without their model: {_SAVE}",
}
_PYTORCH = (
    "a PyTorch model, which is a pickle of Python objects and is never opened; only models of "
    "Keras are read"
)


def foreign_folder(path: Path) -> BundleError:
    """What is wrong with a folder that stands where an archive should."""
    if (path / "saved_model.pb").exists() or (path / "keras_metadata.pb").exists():
        what = (
            f"a SavedModel, which holds a TensorFlow program, and no such program is run: {_SAVE}"
        )
    elif (path / "config.json").exists():
        what = "an archive that was unpacked: give the .keras file itself"
    else:
        what = "a folder: give the .keras or .h5 file that model.save() wrote"
    return BundleError(f"not a model file but {what}")


def refuse_foreign(data: bytes, name: str = "") -> None:
    """Raise BundleError where the bytes, or the file's name, are those of another kind of file."""
    for start, what in _STARTS:
        if data.startswith(start):
            raise BundleError(f"not a file that is read here but {what}")
    if data.startswith(ZIP):
        listed = data[-(1 << 16) :]
        if b"data.pkl" in listed or b"constants.pkl" in listed:
            raise BundleError(f"not a file that is read here but {_PYTORCH}")
        return
    if not data.startswith(HDF5):
        for suffix, what in _SUFFIXES.items():
            if name.lower().endswith(suffix):
                raise BundleError(f"not a file that is read here but {what}")
        if data[4:8] == b"TFL3":
            raise BundleError(f"not a file that is read here but {_SUFFIXES['.tflite']}")
