"""Fitted probes as files: what comes back is what was saved, and what is no such file says so."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors import torch as safetensors

from erlangen.encoders import build_encoder, save_encoder
from erlangen.encoders.fused import Fused
from erlangen.probes.base import Model, Sample
from erlangen.probes.ericsson import Ericsson
from erlangen.probes.finetune import Classifier
from erlangen.probes.fits import KNN, Calibrated, KernelRidge, Logistic, Ridge, SupportVectors
from erlangen.probes.stored import load_probe, save_probe
from erlangen.probes.trained import Descent, Trained, head

ABOUT = {"selection": "penalty ON TEST", "penalty": 0.1, "data": "digits", "rates": [1, 2.5, None], "inner": {"k": 3}}
TESTED = {"output": torch.randn(5, 3, generator=torch.Generator().manual_seed(3)), "outcome": torch.arange(5) % 2 == 0}


def features(n: int = 40) -> torch.Tensor:
    return torch.randn(n, 6, generator=torch.Generator().manual_seed(n))


CLASSES = Sample(features() + 2 * torch.eye(3, 6)[torch.arange(40) % 3], torch.arange(40) % 3, 3)
NUMBERS = Sample(features(), features() @ torch.arange(12.0).view(6, 2))
SHORT = Descent(epochs=2, batch_size=16)
ON_FEATURES = {
    "Neighbours": (KNN(5), CLASSES),
    "Linear of classes": (Logistic((0.1,)), CLASSES),
    "Linear of numbers": (Ridge((0.1, 1.0)), NUMBERS),
    "Linear of Ericsson": (Ericsson(folds=2), NUMBERS),
    "Linear of support vectors": (SupportVectors((0.1,)), CLASSES),
    "Calibrated": (Calibrated(0.01), CLASSES),
    "Kernel": (KernelRidge((0.1,), (0.1,), folds=2), NUMBERS),
    "Head": (Trained(SHORT), CLASSES),
    "Head that standardises": (Trained(SHORT, standardise=True), CLASSES),
    "Head with hidden layers": (Trained(SHORT, hidden=(7, 5)), CLASSES),
}


def saved(path: Path, model: Model) -> Model:
    """Saved and loaded again; what is told and tested comes with it."""
    save_probe(path, model, ABOUT, TESTED)
    found, tested = load_probe(path)
    assert found.told == ABOUT
    assert tested.keys() == TESTED.keys() and all(torch.equal(tested[name], TESTED[name]) for name in TESTED)
    assert [file.name for file in path.parent.iterdir()] == [path.name]  # nothing else is left
    return found.model


@pytest.mark.parametrize("name", ON_FEATURES)
def test_a_model_of_features_comes_back(tmp_path, name):
    """Of the same kind, with the same bits for new rows; heads in eval mode, without gradient."""
    probe, train = ON_FEATURES[name]
    model = probe.fit(train, None, seed=0).model
    again = saved(tmp_path / "probe-some.linear.safetensors", model)
    assert type(again) is type(model) and type(model).__name__ == name.split()[0]
    new = features(9)
    assert torch.equal(again(new), model(new)) and not torch.equal(again(new), again(-new))
    if isinstance(again, torch.nn.Module):
        assert not again.training and not any(p.requires_grad for p in again.parameters())


def classifier(kind: str) -> Classifier:
    torch.manual_seed(0)
    if kind == "fused":
        encoder = Fused([build_encoder("small", 1, 8), build_encoder("pixels", 1, 8)], "cat")
    else:
        encoder = build_encoder(kind, 1, 8, mean=(0.3,), std=(0.2,))
    model = Classifier(encoder, head(encoder.dim, (6,), 4, "torch", seed=0))
    model(torch.rand(16, 1, 8, 8))  # statistics that are not those of a new network
    return model.eval()


@pytest.mark.parametrize("kind", ["small", "pixels", "fused"])
def test_a_classifier_of_images_comes_back(tmp_path, kind):
    """With its encoder, whatever its normalisation and BatchNorm's statistics are, for bytes and for floats."""
    model = classifier(kind)
    again = saved(tmp_path / "probe-finetune.safetensors", model)
    images = (255 * torch.rand(5, 1, 8, 8, generator=torch.Generator().manual_seed(1))).to(torch.uint8)
    with torch.no_grad():
        assert torch.equal(again(images), model(images)) and torch.equal(again(images / 255), model(images / 255))
        assert not torch.equal(again(images), again(255 - images))
    assert isinstance(again, Classifier) and not again.training
    assert not any(p.requires_grad for p in again.parameters())


def test_an_encoder_without_a_name_cannot_be_saved(tmp_path):
    """What was not built by name could not be made again: it is refused, with the reason, and nothing is written."""
    model = classifier("small")
    model.encoder.spec = {}
    with pytest.raises(ValueError, match="a Small in it cannot be saved: only what `build_encoder` made"):
        save_probe(tmp_path / "probe-finetune.safetensors", model, ABOUT, {})
    assert not list(tmp_path.iterdir())


def test_a_kind_of_a_later_version(tmp_path):
    """A file that says of itself what nobody here knows is refused by that word."""
    path = tmp_path / "probe-new.safetensors"
    safetensors.save_file({"x": torch.zeros(1)}, path, {"kind": "Forest", "arguments": "{}", "about": "{}"})
    with pytest.raises(ValueError, match="'Forest'"):
        load_probe(path)


def test_a_file_that_is_not_there(tmp_path):
    """It says how to make one."""
    with pytest.raises(ValueError, match=r"no fitted probe at .*probe-knn.safetensors: run `erlangen probe`"):
        load_probe(tmp_path / "probe-knn.safetensors")


@pytest.mark.parametrize("share", [0.0, 0.01, 0.5, 0.99])
def test_a_damaged_file(tmp_path, share):
    """Cut off anywhere, it is named."""
    path = tmp_path / "probe-linear.safetensors"
    save_probe(path, Logistic((0.1,)).fit(CLASSES, None, seed=0).model, ABOUT, TESTED)
    whole = path.read_bytes()
    path.write_bytes(whole[: int(share * len(whole))])
    with pytest.raises(ValueError, match="probe-linear.safetensors is damaged or no safetensors file"):
        load_probe(path)


def test_a_foreign_file(tmp_path):
    """Text, bare tensors and a saved encoder are no fitted probes."""
    text, bare, encoder = (tmp_path / f"{name}.safetensors" for name in ("text", "bare", "encoder"))
    text.write_text("accuracy 0.99\n" * 100)
    safetensors.save_file({"weight": torch.ones(2)}, bare)
    save_encoder(encoder, build_encoder("small", 1, 8))
    with pytest.raises(ValueError, match="text.safetensors is damaged or no safetensors file"):
        load_probe(text)
    for path in (bare, encoder):
        with pytest.raises(ValueError, match=f"{path.name} is no fitted probe: `erlangen probe` writes such files"):
            load_probe(path)


def test_an_interrupted_write_leaves_the_old_file(tmp_path, monkeypatch):
    """Half of the new one lies beside it as a `.part`, which the next write replaces."""
    path, whole = tmp_path / "probe-linear.safetensors", safetensors.save_file
    old, new = (Logistic((penalty,)).fit(CLASSES, None, seed=0).model for penalty in (0.1, 1.0))
    save_probe(path, old, ABOUT, {})

    def half(tensors, part, metadata):
        whole(tensors, part, metadata)
        Path(part).write_bytes(Path(part).read_bytes()[:100])
        raise KeyboardInterrupt

    monkeypatch.setattr(safetensors, "save_file", half)
    with pytest.raises(KeyboardInterrupt):
        save_probe(path, new, ABOUT, {})
    monkeypatch.undo()
    assert sorted(file.name for file in tmp_path.iterdir()) == ["probe-linear.part", path.name]
    assert torch.equal(load_probe(path)[0].model(CLASSES.x), old(CLASSES.x))
    save_probe(path, new, ABOUT, {})
    assert [file.name for file in tmp_path.iterdir()] == [path.name]
    assert torch.equal(load_probe(path)[0].model(CLASSES.x), new(CLASSES.x))


def test_a_view_is_saved_whole(tmp_path):
    """Tensors that share memory, or lie in it in another order, come back as they are."""
    model = KNN(3).fit(CLASSES, None, seed=0).model
    turned = replace(model, bank=model.bank.T.contiguous().T)
    path = tmp_path / "probe-knn.safetensors"
    save_probe(path, turned, {}, {"first": TESTED["output"][:, 0], "all": TESTED["output"]})
    found, tested = load_probe(path)
    assert torch.equal(found.model(features(9)), model(features(9))) and found.told == {}
    assert torch.equal(tested["first"], TESTED["output"][:, 0]) and torch.equal(tested["all"], TESTED["output"])
