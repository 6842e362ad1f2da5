"""Image files in the official layouts, a few images each."""

import pickle
from dataclasses import replace

import numpy as np
import pytest
from scipy.io import savemat

from data_modules.images import sources


def noise(*shape, seed=0):
    return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)


def few(monkeypatch: pytest.MonkeyPatch, **sizes: tuple[int, int]) -> None:
    """Let names stand for so few training and test images (hyphens of names written as underscores)."""
    changed = {name.replace("_", "-"): size for name, size in sizes.items()}
    table = {
        name: replace(source, num_train=changed[name][0], num_test=changed[name][1]) if name in changed else source
        for name, source in sources.SOURCES.items()
    }
    monkeypatch.setattr(sources, "SOURCES", table)


def write_cifar_binary(folder, files, per_file, classes, label_bytes=1):
    """Labels count up over `files` of `per_file` images; returns pixels `[N, 3, 32, 32]` and labels in file order."""
    folder.mkdir(parents=True, exist_ok=True)
    pixels = noise(len(files) * per_file, 3072)
    labels = np.arange(len(pixels)) % classes
    for index, file in enumerate(files):
        rows = slice(index * per_file, (index + 1) * per_file)
        head = np.stack([np.full(per_file, 7)] * (label_bytes - 1) + [labels[rows]], axis=1).astype(np.uint8)
        (folder / file).write_bytes(np.concatenate([head, pixels[rows]], axis=1).tobytes())
    return pixels.reshape(-1, 3, 32, 32), labels


def write_pickle(path, content, protocol=2):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(pickle.dumps(content, protocol=protocol))


def write_svhn(folder, num_train=20, num_test=10):
    folder.mkdir(parents=True, exist_ok=True)
    for name, count in (("train", num_train), ("test", num_test)):
        labels = (np.arange(count) % 10 + 1).astype(np.uint8)[:, None]
        savemat(folder / f"{name}_32x32.mat", {"X": noise(32, 32, 3, count), "y": labels})


def write_imagenet16(folder, per_file=15, labels=None):
    for name in [f"train_data_batch_{i}" for i in range(1, 11)] + ["val_data"]:
        label_list = labels or [i * 11 % 130 + 1 for i in range(per_file)]  # some beyond the first 120 classes
        write_pickle(folder / name, {"data": noise(len(label_list), 768, seed=len(name)), "labels": label_list})
