"""Compiled pipelines: the same views, made by graphs that serve every batch size."""

import warnings
from functools import partial

import pytest
import torch
import torch._inductor

from erlangen import chunks, stages
from erlangen.pipelines import Pipeline, Pipelines, with_pipelines
from erlangen.recipes import recipe
from erlangen.transforms import (
    ColorJitter,
    Deform,
    GaussianBlur,
    Grayscale,
    HorizontalFlip,
    Invert,
    ResizedCrop,
    Rotation,
)
from erlangen.transforms.presets import ReLICv2Views, SimCLRViews
from erlangen.views import Batch, Draws, generator

POLICY = (
    ResizedCrop(16),
    HorizontalFlip(),
    ColorJitter(),
    Grayscale(),
    Rotation(probability=0.5),
    GaussianBlur(5),
)


def batch(n: int, size: int = 20, channels: int = 3) -> Batch:
    images = torch.randint(0, 256, (n, channels, size, size), generator=generator("compiled"), dtype=torch.uint8)
    return Batch(images, torch.arange(n))


def broken(*args, **options):
    raise RuntimeError("no headers")


SAID = "views are made without compilation"


def quietly(said, pipeline, *args):
    """Without the warning of a machine that cannot compile, where the pipeline works all the same."""
    with warnings.catch_warnings(record=True) as caught:
        view = pipeline(*args)
    said.extend(str(warning.message)[: len(SAID)] for warning in caught)
    return view


def test_compiled_views_are_the_views(monkeypatch):
    """Less than 1/255 apart, bitwise the same each time; no graph is made for another number of images."""
    monkeypatch.setattr(stages, "_GRAPHS", {})
    eager, fused = Pipeline(POLICY), Pipeline(POLICY, compiled=True)
    monkeypatch.setitem(chunks.BYTES, "compiled", 4 * 3 * 20 * 20 * 6)  # six images a piece
    graphs, said = [], []
    for n in (1, 6, 15):
        draws = [Draws(generator("draws", n)) for _ in range(3)]
        expected, view, again = (
            eager(batch(n), draws[0]),
            quietly(said, fused, batch(n), draws[1]),
            fused(batch(n), draws[2]),
        )
        assert all(torch.equal(p, view.params[name]) for name, p in expected.params.items())
        assert (expected.images - view.images).abs().max() < 1 / 255
        assert torch.equal(view.images, again.images)
        graphs.append(len(stages._GRAPHS))
    assert graphs == [2, 2, 2]  # crop to grey, and blur; torch's rotation needs none
    as_they_are = [isinstance(graph, partial) for graph in stages._GRAPHS.values()]
    assert not any(as_they_are) or SAID in said


@pytest.mark.parametrize("found, why", [(False, "no C.. compiler was found"), (True, "")], ids=["none", "broken"])
def test_without_a_compiler_it_is_said(found, why, monkeypatch):
    """The views are made all the same, with a warning, where there is no compiler and where there is one that fails."""
    monkeypatch.setattr(chunks, "compiler_exists", lambda: found)
    monkeypatch.setattr(torch._inductor, "compile", broken)
    monkeypatch.setattr(stages, "_GRAPHS", {})
    transforms = (ResizedCrop(8), Invert())
    with pytest.warns(UserWarning, match=f"without compilation: {why or 'no headers'}"):
        view = Pipeline(transforms, compiled=True)(batch(3), Draws(generator(0)))
    assert torch.equal(view.images, Pipeline(transforms)(batch(3), Draws(generator(0))).images)


def test_host_code_stays_out_of_graphs(monkeypatch):
    """What looks at values, or draws with numpy, is run as it is between the graphs."""
    monkeypatch.setattr(stages, "_GRAPHS", {})
    transforms = (Deform(), Rotation(nearest=True))
    views = [Pipeline(transforms, compiled=c)(batch(3), Draws(generator(0))) for c in (False, True)]
    assert torch.equal(views[0].images, views[1].images) and not stages._GRAPHS


@pytest.mark.parametrize("policy", [SimCLRViews(), ReLICv2Views()], ids=lambda policy: type(policy).__name__)
def test_every_pipeline_of_a_policy_can_be_changed(policy):
    """`with_pipelines` reaches pipelines in tuples and in what wraps them; what is no pipeline stays."""

    def found(views):
        return [getattr(p, "pipeline", p) for p in views.pipelines]

    views = policy.build(3, 32)
    changed = with_pipelines(views, compiled=True, dtype=torch.bfloat16)
    assert all(p.compiled and p.dtype == torch.bfloat16 for p in found(changed))
    assert not any(p.compiled for p in found(views)) and len(found(views)) == len(found(changed))
    assert isinstance(changed, Pipelines)
    function = lambda batch, draws: []  # noqa: E731
    assert with_pipelines(function, compiled=True) is function


def test_a_recipe_says_whether_views_are_compiled():
    """Off unless asked for, by the name of the command line."""
    assert not recipe("simclr").compile_views and recipe("simclr", compile_views=True).compile_views
