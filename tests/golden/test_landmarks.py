"""Targets and splits of the landmark tasks, against ssl-invariances (Ericsson et al. 2021)."""

import numpy as np
import torch
from vectors import cases, check_close

from erlangen.data.landmarks import face_targets, in_square, pose_targets, shuffled, square_around, square_within

CLAIMS = {
    "inv_landmarks*.npz": r"w300_(pts|target)\w*|w300_(split\d+_)?(train|valid|test)(_idx)?|w300_image_size|lsp_\w+|"
    r"celeba_(landmarks|targets)"
}


@cases("inv_landmarks*.npz")
def test_faces(case):
    """The square of the points, and where they lie in it."""
    size = case.value("w300_image_size")
    faces = case.under("w300_pts")
    assert faces
    for which, points in faces.items():
        found = in_square(points.numpy(), *square_around(points.numpy()), size)
        check_close(torch.from_numpy(found.reshape(-1)), case[f"w300_target{which}"], rtol=0, atol=1e-3)


@cases("inv_landmarks*.npz")
def test_face_splits(case):
    """Of the few images of a folder, and of so many as there are."""
    parts = [case[f"w300_{split}_idx"] for split in ("train", "valid", "test")]
    check_splits(parts, shuffled(sum(map(len, parts)), 0.3, 0.6))
    numbers = {key.partition("_")[0] for key in case.under("w300_split")}
    assert numbers
    for number in numbers:
        parts = [case[f"w300_split{number}_{split}"] for split in ("train", "valid", "test")]
        check_splits(parts, shuffled(int(number), 0.3, 0.6))


def check_splits(golden, found):
    for part, rows in zip(golden, found, strict=True):
        assert np.array_equal(part.numpy(), rows)


@cases("inv_landmarks*.npz")
def test_poses(case):
    """The joints of the train images in the middle squares; which images those are."""
    size, joints = case.value("w300_image_size"), case["lsp_joints"].numpy()
    places = [square_within(int(width), int(height)) for width, height in case["lsp_image_wh"]]
    rows = case["lsp_train_idx"].numpy()
    targets = pose_targets(joints, places, size)[rows].reshape(len(rows), -1)
    check_close(torch.from_numpy(targets), case["lsp_targets"], rtol=0, atol=1e-6)
    check_splits([case["lsp_train_idx"]], shuffled(joints.shape[2], 0.6)[:1])
    numbers = {key.partition("_")[0] for key in case.under("lsp_split")}
    assert numbers
    for number in numbers:
        check_splits([case[f"lsp_split{number}_{part}"] for part in ("train", "test")], shuffled(int(number), 0.6))


@cases("inv_landmarks*.npz")
def test_aligned_faces(case):
    """To whole pixels, exactly."""
    targets = face_targets(case["celeba_landmarks"].double().numpy(), case.value("w300_image_size"), whole=True)
    assert np.array_equal(targets, case["celeba_targets"].numpy())
