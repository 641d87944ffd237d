"""Heads that are trained on an encoder, and with it: what changes, what does not, and what is seen."""

import copy
from dataclasses import dataclass, field

import pytest
import torch
from torch import Tensor, nn

from erlangen.data import open_dataset
from erlangen.data.base import Split
from erlangen.encoders import build_encoder
from erlangen.encoders.frozen import Frozen, represent
from erlangen.nets import Encoder
from erlangen.optim import SGD, Adam, Constant, Group
from erlangen.probes.base import OnImages
from erlangen.probes.finetune import Classifier, Finetuned
from erlangen.probes.stored import load_probe, save_probe
from erlangen.probes.trained import Descent, Trained
from erlangen.transforms.presets.probing import CropFlipViews
from erlangen.views import Batch, Draws, View, Views, to_float


def stripes(n: int = 24) -> Split:
    """Images of 8 px, bright above, below, or nowhere."""
    labels = torch.arange(n) % 3
    images = torch.randint(0, 100, (n, 1, 8, 8), generator=torch.Generator().manual_seed(n), dtype=torch.uint8)
    images[labels == 0, :, :4] += 150
    images[labels == 1, :, 4:] += 150
    return Split(images, labels)


DATA = stripes()
ROWS = torch.arange(18)


def small() -> Encoder:
    """In training mode, as a run leaves it, with statistics that are not those of a new network."""
    torch.manual_seed(0)
    encoder = build_encoder("small", 1, 8)
    encoder(torch.rand(16, 1, 8, 8))
    return encoder


def fitted(probe: Finetuned, encoder: nn.Module, seed: int = 0) -> Classifier:
    model = probe.fit_images(encoder, DATA, ROWS, 3, seed).model
    assert isinstance(model, Classifier)
    return model


def changed(before: dict[str, Tensor], after: dict[str, Tensor]) -> set[str]:
    assert before.keys() == after.keys()
    return {name for name, value in before.items() if not torch.equal(value, after[name])}


STEEP = Descent(SGD(lr=0.5, weight_decay=1e-3, schedule=Constant()), epochs=2, batch_size=6)


def test_a_frozen_encoder_stays_as_it_is():
    """Parameters and BatchNorm's buffers; the head is trained, and the answer needs no gradient."""
    encoder = small()
    before = copy.deepcopy(encoder.state_dict())
    model = fitted(Finetuned(STEEP, CropFlipViews()), encoder)
    assert not changed(before, model.encoder.state_dict())
    start = Trained().build(torch.zeros(1, 256), 3, seed=0).state_dict()
    assert changed(start, model.head.state_dict()) == {"net.0.weight", "net.0.bias"}
    assert not model.training and not any(p.requires_grad for p in model.parameters())


def test_a_frozen_encoder_sees_the_statistics_that_it_has():
    """As the head of its features in eval mode, in the same order of batches: to the last digits the same head."""
    model = fitted(Finetuned(STEEP), small())
    x = represent(small(), DATA.images[ROWS])
    head = Trained(STEEP).build(x, 3, seed=0)
    STEEP.run(head, lambda rows, _: x[rows], DATA.labels[ROWS], seed=0)
    torch.testing.assert_close(model.head.net[0].weight, head.net[0].weight, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("frozen", [True, False])
def test_the_encoder_that_was_given_is_not_touched(frozen):
    """Nor its mode, nor what of it can learn, nor its gradients; what is returned shares nothing with it."""
    encoder = small()
    encoder.conv1.eval()
    encoder.conv2.requires_grad_(False)
    before, modes = copy.deepcopy(encoder.state_dict()), [module.training for module in encoder.modules()]
    learning = [p.requires_grad for p in encoder.parameters()]
    model = fitted(Finetuned(STEEP, frozen=frozen), encoder)
    assert not changed(before, encoder.state_dict())
    assert modes == [module.training for module in encoder.modules()]
    assert learning == [p.requires_grad for p in encoder.parameters()]
    assert all(p.grad is None for p in encoder.parameters())
    places = {p.data_ptr() for p in encoder.state_dict().values()}
    assert not places & {p.data_ptr() for p in model.state_dict().values()}


def test_full_finetuning_changes_all_of_a_copy():
    """Every parameter and every statistic, even of a part that did not learn before."""
    encoder = small()
    encoder.conv2.requires_grad_(False)
    model = fitted(Finetuned(STEEP, frozen=False), encoder)
    assert changed(encoder.state_dict(), model.encoder.state_dict()) == set(encoder.state_dict())
    assert not model.training and not any(p.requires_grad for p in model.parameters())


def test_the_encoder_has_a_rate_of_its_own():
    """A group `encoder` at rate 0 changes no weight of it, and BatchNorm's statistics still follow the images."""
    encoder = small()
    optim = SGD(lr=0.5, weight_decay=0.0, schedule=Constant(), groups=(Group("encoder", lr_scale=0.0),))
    model = fitted(Finetuned(Descent(optim, 1, 6), frozen=False), encoder)
    names = changed(encoder.state_dict(), model.encoder.state_dict())
    assert names and all("running" in name or "tracked" in name for name in names)


@pytest.mark.parametrize("frozen", [True, False])
def test_the_same_seed_gives_the_same_bits(frozen):
    """Whatever torch's own generator is at, which stays there; another seed gives others."""
    probe, encoder = Finetuned(STEEP, CropFlipViews(), frozen), small()
    torch.manual_seed(77)
    first, state = fitted(probe, encoder, seed=1).state_dict(), torch.random.get_rng_state()
    again = fitted(probe, encoder, seed=1).state_dict()
    assert torch.equal(torch.random.get_rng_state(), state)
    torch.manual_seed(78)
    assert not changed(first, again) and not changed(first, fitted(probe, encoder, seed=1).state_dict())
    assert changed(first, fitted(probe, encoder, seed=2).state_dict())


@dataclass(frozen=True)
class Spy:
    """Two views, the second of them black; it notes what it is given."""

    seen: list[tuple[list[int], float]] = field(default_factory=list)
    sizes: list[tuple[int, int]] = field(default_factory=list)

    def build(self, channels: int, size: int) -> Views:
        self.sizes.append((channels, size))

        def views(batch: Batch, draws: Draws) -> list[View]:
            self.seen.append((batch.index.tolist(), float(draws(len(batch.images), 1)[0])))
            first = to_float(batch.images)
            return [View(images, {}, {}, batch.index, batch.labels) for images in (first, torch.zeros_like(first))]

        return views


def test_views_are_drawn_anew_in_every_step():
    """Of the rows of the step, each once an epoch, with numbers that no other step has; the first view is taken."""
    spy, rows = Spy(), torch.tensor([1, 4, 7, 8, 9, 15, 20, 23])
    probe = Finetuned(Descent(SGD(lr=0.5, weight_decay=0.0, schedule=Constant()), 3, 3), spy)
    model = probe.fit_images(small(), DATA, rows, 3, 5).model
    assert spy.sizes == [(1, 8)] and [len(index) for index, _ in spy.seen] == [3, 3, 2] * 3
    epochs = [sum((index for index, _ in spy.seen[i : i + 3]), []) for i in (0, 3, 6)]
    assert all(sorted(epoch) == rows.tolist() for epoch in epochs) and epochs[0] != epochs[1] != epochs[2]
    assert len({draw for _, draw in spy.seen}) == 9
    again, plain = Spy(), Finetuned(probe.descent)
    Finetuned(probe.descent, again).fit_images(small(), DATA, rows, 3, 5)
    assert again.seen == spy.seen
    same = plain.fit_images(small(), DATA, rows, 3, 5).model
    assert isinstance(model, Classifier) and not changed(model.state_dict(), same.state_dict())


def test_it_learns_digits():
    """From 200 of them: a linear head on an untrained encoder, and better still the whole network."""
    data = open_dataset("digits", image_size=8)
    rows, right = torch.arange(200), []
    optim = Adam(lr=1e-2, schedule=Constant())
    for frozen in (True, False):
        torch.manual_seed(0)
        encoder = build_encoder("small", 1, 8)
        for _ in range(20):
            encoder(to_float(data.train.images[rows]))  # statistics of these images, for the frozen one
        views = CropFlipViews((0.7, 1.0), flip=0.0)
        model = Finetuned(Descent(optim, 5, 40), views, frozen).fit_images(encoder, data.train, rows, 10, 0).model
        with torch.no_grad():
            right.append(float((model(data.test.images).argmax(1) == data.test.labels).double().mean()))
    assert right[0] > 0.35 and right[1] > 0.7


def test_pixels_have_nothing_to_learn():
    """An encoder without parameters: the head learns, on pixels as they are."""
    encoder = build_encoder("pixels", 1, 8)
    model = fitted(Finetuned(Descent(Adam(lr=1e-2, schedule=Constant()), 20, 6)), encoder)
    left = torch.arange(18, 24)
    assert torch.equal(model(DATA.images[left]).argmax(1), DATA.labels[left])
    assert model.head.dim == 64 and not list(model.encoder.parameters())


def test_hidden_layers_and_start():
    """The head has those widths and begins as it is told."""
    still = Descent(SGD(lr=0.0, weight_decay=0.0, schedule=Constant()), 1, 18)
    head = fitted(Finetuned(still, hidden=(5,), start=0.01), small()).head
    assert [layer.out_features for layer in head.net if isinstance(layer, nn.Linear)] == [5, 3]
    assert float(head.net[0].weight.std()) == pytest.approx(0.01, rel=0.1)


def test_a_frozen_wrapper_is_no_obstacle(tmp_path):
    """The encoder inside is what is trained, in training mode, and what a file of the probe holds."""
    probe, path = Finetuned(STEEP, frozen=False), tmp_path / "probe-finetune.safetensors"
    wrapped, bare = fitted(probe, Frozen(small())), fitted(probe, small())
    assert not changed(bare.state_dict(), wrapped.state_dict())
    save_probe(path, wrapped, {}, {})
    assert torch.equal(load_probe(path)[0].model(DATA.images), bare(DATA.images))


def test_what_is_no_encoder_is_refused():
    """A bare module does not say how wide its representation is."""
    with pytest.raises(ValueError, match="a Flatten cannot be fine-tuned: an encoder must say its `dim`"):
        Finetuned(STEEP).fit_images(nn.Flatten(), DATA, ROWS, 3, 0)
    assert isinstance(Finetuned(STEEP), OnImages) and not isinstance(Trained(), OnImages)


def test_without_weights_there_is_nothing_to_finetune():
    """Pixels, the whole of which cannot be trained."""
    with pytest.raises(ValueError, match="a Pixels has no weights: there is nothing to fine-tune"):
        fitted(Finetuned(STEEP, frozen=False), build_encoder("pixels", 1, 8))
