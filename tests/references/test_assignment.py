"""The losses of CISSL, DISSL and DINO against slow loops in float64, and numbers worked out by hand."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.distributions import Categorical

from erlangen.losses import blocks, cissl, dino, dissl, entropy, marginal, nt_xent
from erlangen.losses.precision import unchecked as unread

FEW = settings(deadline=None, max_examples=10, derandomize=True)
SEEDS = st.integers(0, 2**32)


def normal(*shape: int, seed: int = 0, dtype: torch.dtype = torch.float64) -> torch.Tensor:
    return torch.randn(*shape, dtype=dtype, generator=torch.Generator().manual_seed(seed))


def crops(count: int, n: int, c: int, seed: int = 0) -> list[torch.Tensor]:
    return list(normal(count, n, c, seed=seed))


def softmax(x: np.ndarray) -> np.ndarray:
    e = np.exp(x - x.max())
    return e / e.sum()


def cross_entropy(p: np.ndarray, q: np.ndarray) -> float:
    return -sum(a * math.log(b) for a, b in zip(p, q, strict=True))


def cissl_loop(s: np.ndarray, t: np.ndarray, temperature: float, own: bool) -> float:
    """Student by student, its candidates one by one."""
    rows, total = len(s), 0.0
    for r in range(rows):
        other = (r + rows // 2) % rows
        cosine = {c: s[r] @ t[c] / np.linalg.norm(s[r]) / np.linalg.norm(t[c]) / temperature for c in range(rows)}
        if not own:
            del cosine[r]
        every = math.log(sum(math.exp(x) for x in cosine.values()))
        right = [r, other] if own else [other]
        total += sum(every - cosine[c] for c in right) / len(right)
    return total / rows


@FEW
@given(n=st.integers(2, 6), d=st.integers(2, 5), temperature=st.floats(0.05, 2.0), own=st.booleans(), seed=SEEDS)
def test_cissl_is_the_loop(n, d, temperature, own, seed):
    """`cissl` equals a loop over students and their candidates, with and without their own column."""
    s, t = normal(2 * n, d, seed=seed), normal(2 * n, d, seed=seed + 1)
    assert cissl(s, t, temperature, own).item() == pytest.approx(cissl_loop(s.numpy(), t.numpy(), temperature, own))


def test_cissl_by_hand():
    """Two orthogonal images, equal views, temperature 1: two cosines are 1, two are 0, both columns of 1 are right."""
    # ln(2 e + 2) - 1 = ln 7.436564 - 1 = 1.006409
    z = torch.tensor([[1.0, 0.0], [0.0, 2.0], [3.0, 0.0], [0.0, 1.0]])
    assert cissl(z, z, 1.0).item() == pytest.approx(1.006409, abs=1e-6)


def test_cissl_is_never_below_ln_2():
    """Heads that agree perfectly, and tell all images apart, still have two right columns."""
    z = torch.eye(4, dtype=torch.float64).repeat(2, 1)
    assert cissl(z, z, 0.01).item() == pytest.approx(math.log(2))


def test_cissl_without_its_own_column_and_with_one_head_is_nt_xent():
    """The same table on both sides: SimCLR's loss."""
    z = normal(10, 4)
    assert torch.allclose(cissl(z, z, 0.3, self_contrastive=False), nt_xent(*z.chunk(2), 0.3))


@pytest.mark.parametrize("own", [True, False])
def test_cissl_in_blocks_is_the_whole_table(own, monkeypatch):
    """Value and gradients do not depend on how many rows are in memory at once."""
    found = []
    for largest in (2**24, 3 * 12):
        monkeypatch.setattr(blocks, "LARGEST", largest)
        s, t = normal(12, 4).requires_grad_(), normal(12, 4, seed=1).requires_grad_()
        loss = cissl(s, t, 0.2, own)
        loss.backward()
        found.append((loss.detach(), s.grad, t.grad))
    assert all(torch.allclose(a, b, rtol=1e-12) for a, b in zip(*found, strict=True))


def test_gradients_are_finite_differences():
    """Of CISSL and DISSL through both sides, of DINO through its students."""
    a, b = normal(6, 3).requires_grad_(), normal(6, 3, seed=1).requires_grad_()
    assert torch.autograd.gradcheck(lambda s, t: cissl(s, t, 0.5), (a, b))
    assert torch.autograd.gradcheck(lambda s, t: dissl(t.chunk(2), s.chunk(2)).loss, (a, b))
    assert torch.autograd.gradcheck(lambda s: dino(b.chunk(2), s.chunk(2), [b[0].detach()] * 2).loss, (a,))


def dissl_loop(teachers, students, maximality, determinism, temperature, assign) -> float:
    """Pair of crops by pair, image by image."""
    p = [[softmax(row / assign) for row in x.numpy()] for x in teachers]
    q = [[softmax(row / temperature) for row in x.numpy()] for x in students]
    pairs = [(i, j) for i in range(len(p)) for j in range(len(q)) if i != j]
    d = np.mean([cross_entropy(a, b) for i, j in pairs for a, b in zip(p[i], q[j], strict=True)])
    pairs = [(i, j) for i, j in pairs if j < len(p)]
    n = np.mean([cross_entropy(a, b) for i, j in pairs for a, b in zip(p[i], p[j], strict=True)])
    h = np.mean([cross_entropy(m, m) for m in (sum(rows) / len(rows) for rows in p)])
    return d - maximality * h + determinism * n


@FEW
@given(
    t=st.integers(2, 3),
    more=st.integers(0, 2),
    n=st.integers(2, 5),
    c=st.integers(2, 6),
    temperatures=st.tuples(st.floats(0.3, 2.0), st.floats(0.3, 2.0)),
    seed=SEEDS,
)
def test_dissl_is_the_loop(t, more, n, c, temperatures, seed):
    """Two or more crops for the teacher, as many or more for the student: every pair but those of one crop."""
    teachers, students = crops(t, n, c, seed), crops(t + more, n, c, seed + 1)
    loss = dissl(teachers, students, 1.7, 0.6, *temperatures).loss
    assert loss.item() == pytest.approx(dissl_loop(teachers, students, 1.7, 0.6, *temperatures))


def test_dissl_by_hand():
    """A sure teacher puts two images into two classes, the student knows nothing: ln 2 (1 - 2.3)."""
    sure, ignorant = torch.tensor([[20.0, -20.0], [-20.0, 20.0]]), torch.zeros(2, 2)
    terms = dissl([sure, sure], [ignorant, ignorant])
    assert terms.loss.item() == pytest.approx(-0.901091, abs=1e-5)
    assert [terms.distillation.item(), terms.maximality.item()] == pytest.approx([math.log(2)] * 2, abs=1e-5)
    assert [terms.determinism.item(), terms.uncertainty.item()] == pytest.approx([0, 0], abs=1e-5)


def test_dissl_of_an_indifferent_teacher():
    """Uniform over c classes, all entropies are ln c: ln c (1 - maximality + determinism)."""
    loss = dissl([torch.zeros(3, 5)] * 2, [torch.zeros(3, 5)] * 2, 2.0, 0.5).loss
    assert loss.item() == pytest.approx(-0.5 * math.log(5))


@FEW
@given(n=st.integers(2, 6), c=st.integers(2, 8), scale=st.floats(0.1, 30.0), seed=SEEDS)
def test_the_marginals_entropy_is_bounded(n, c, scale, seed):
    """By ln c, and by ln n and what the teacher is unsure of: near ln n once it is sure of every image."""
    (x,) = crops(1, n, c, seed)
    h = dissl([scale * x] * 2, [x] * 2).maximality.item()
    unsure = entropy((2 * scale * x).softmax(-1)).mean().item()
    assert h <= math.log(c) + 1e-9 and h <= math.log(n) + unsure + 1e-9


def test_given_marginals_are_used():
    """The entropy is that of the marginals of all ranks, where they are given."""
    teachers, students = crops(2, 4, 3), crops(2, 4, 3, 1)
    own = [marginal(x, 0.5) for x in teachers]
    given_, plain = dissl(teachers, students, marginals=own), dissl(teachers, students)
    assert torch.allclose(given_.loss, plain.loss)
    certain = torch.tensor([1.0, 0.0, 0.0], dtype=torch.float64)
    assert dissl(teachers, students, marginals=[certain] * 2).maximality.item() == pytest.approx(0, abs=1e-12)


def test_the_ramp_weighs_two_terms():
    """Distillation times the ramp, determinism divided by it, maximality as it is."""
    terms = dissl(crops(2, 4, 3), crops(2, 4, 3, 1), 2.0, 0.5, ramp=0.25)
    expected = 0.25 * terms.distillation - 2.0 * terms.maximality + 0.5 * terms.determinism / 0.25
    assert torch.allclose(terms.loss, expected)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_entropy_is_torchs(dtype):
    """torch's Categorical, for sure and unsure rows and for probabilities of 0; (1/4, 3/4) has 0.562335."""
    p = torch.cat([normal(5, 4, dtype=dtype).softmax(-1), torch.eye(4, dtype=dtype)])
    assert torch.allclose(entropy(p), Categorical(probs=p).entropy(), rtol=1e-6)
    assert entropy(torch.tensor([0.25, 0.75], dtype=dtype)).item() == pytest.approx(0.562335, abs=1e-6)


def test_marginal_by_hand():
    """(1/2, 1/2) and (1/4, 3/4) on average."""
    logits = torch.tensor([[0.0, 0.0], [0.0, math.log(3)]])
    assert marginal(logits, 1.0).tolist() == pytest.approx([3 / 8, 5 / 8])


@FEW
@given(t=st.integers(1, 3), more=st.integers(1, 2), n=st.integers(1, 4), c=st.integers(2, 5), seed=SEEDS)
def test_dino_is_the_loop(t, more, n, c, seed):
    """Each teacher with its own center, every pair but those of one crop."""
    teachers, students, centers = crops(t, n, c, seed), crops(t + more, n, c, seed + 1), list(normal(t, c, seed=2))
    total, pairs = 0.0, [(i, j) for i in range(t) for j in range(t + more) if i != j]
    for i, j in pairs:
        for a, b in zip(teachers[i].numpy(), students[j].numpy(), strict=True):
            total += cross_entropy(softmax((a - centers[i].numpy()) / 0.2), softmax(b / 0.3)) / n
    assert dino(teachers, students, centers, 0.3, 0.2).loss.item() == pytest.approx(total / len(pairs))


def test_dino_by_hand():
    """An indifferent teacher, a student that says (1/4, 3/4): -(ln 1/4 + ln 3/4) / 2 = 0.836988, and ln 2."""
    student = torch.tensor([[0.0, 0.1 * math.log(3)]])
    loss, uncertainty = dino([torch.zeros(1, 2)], [student, student], [torch.zeros(2)])
    assert loss.item() == pytest.approx(0.836988, abs=1e-6)
    assert uncertainty.item() == pytest.approx(math.log(2))


def test_dino_gives_its_teacher_no_gradient():
    """The student learns, the teacher does not."""
    teacher, student = normal(3, 4).requires_grad_(), normal(3, 4, seed=1).requires_grad_()
    dino([teacher] * 2, [student] * 2, [torch.zeros(4, dtype=torch.float64)] * 2).loss.backward()
    assert teacher.grad is None and student.grad.abs().sum() > 0


X, Z = normal(4, 3), torch.zeros(3, dtype=torch.float64)


@pytest.mark.parametrize(
    "call, message",
    [
        (lambda: cissl(X[:3], X[:3]), "`s` has 3 rows"),
        (lambda: cissl(X[:2], X[:2]), "the batch has 1, the least is 2"),
        (lambda: cissl(X, X, 0.0), r"`temperature` \(=0.0\)"),
        (lambda: cissl(X, X / 0), "`t` of cissl.*not finite"),
        (lambda: dissl([X[:1]] * 2, [X[:1]] * 2), r"marginal of 1 image\(s\)"),
        (lambda: dissl([X], [X, X]), r"`teachers` \(=1 crops\) must be at least 2"),
        (lambda: dissl([X] * 3, [X] * 2), r"`students` \(=2\) at least two and no fewer"),
        (lambda: dissl([X] * 2, [X, X[:, :2]]), r"differ in shape.*\(4, 2\)"),
        (lambda: dissl([X / 0] * 2, [X] * 2), "`teachers` of dissl.*not finite"),
        (lambda: dissl([X] * 2, [X] * 2, temperature=0.0), r"`temperature` \(=0.0\)"),
        (lambda: dissl([X] * 2, [X] * 2, assign_temperature=math.inf), r"`assign_temperature` \(=inf\)"),
        (lambda: dissl([X] * 2, [X] * 2, determinism=math.nan), r"`determinism` \(=nan\)"),
        (lambda: dissl([X] * 2, [X] * 2, ramp=0.0), r"`ramp` \(=0.0\)"),
        (lambda: dissl([X] * 2, [X] * 2, marginals=[X[0].softmax(0)]), r"`marginals` \[\(3,\)\].*each of 2 teachers"),
        (lambda: dissl([X] * 2, [X] * 2, marginals=[X[0, :2]] * 2), r"`marginals` \[\(2,\), \(2,\)\].*of 3 classes"),
        (lambda: marginal(X, math.nan), r"`temperature` \(=nan\)"),
        (lambda: dino([X], [X] * 2, [Z], temperature=-1.0), r"`temperature` \(=-1.0\)"),
        (lambda: dino([X], [X] * 2, [Z], teacher_temperature=0.0), r"`teacher_temperature` \(=0.0\)"),
        (lambda: dino([X], [X], [Z]), r"`students` \(=1\) at least two"),
        (lambda: dino([X] * 2, [X] * 2, [Z]), r"`centers` \(=1\)"),
        (lambda: dino([X] * 2, [X / 0] * 2, [Z] * 2), "`students` of dino.*not finite"),
    ],
)
def test_what_cannot_be_is_named(call, message, unchecked):
    """Too few images or crops, shapes that differ, a temperature of 0, what is not finite: by the argument's name."""
    with pytest.raises(ValueError, match=message):
        call()


def test_a_scheduled_value_is_not_read():
    """A ramp and a temperature that are tensors need not have values: no look at a device, no branch of a graph."""
    with unread(), FakeTensorMode():
        x, c, later = torch.empty(2, 3), torch.empty(3), torch.empty(())
        loss = dissl([x] * 2, [x] * 2, ramp=later).loss + dino([x], [x] * 2, [c], teacher_temperature=later).loss
    assert loss.shape == ()


PAIRED = {
    "cissl": lambda a, b: cissl(a, b, 0.07),
    "dissl": lambda a, b: dissl(a.chunk(2), b.chunk(2)).loss,
    "dino": lambda a, b: dino(a.chunk(2), b.chunk(2), [a[0].float() * 0] * 2).loss,
    "marginal": lambda a, b: marginal(a),
    "entropy": lambda a, b: entropy(a.abs()),
}


@pytest.mark.parametrize("loss", PAIRED.values(), ids=PAIRED)
def test_losses_are_exact_under_autocast(loss):
    """bfloat16 under autocast gives float32, as exact as without; float64 stays what it is."""
    a, b = (normal(16, 32, seed=s).bfloat16() for s in (0, 1))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        value, wide = loss(a, b), loss(a.double(), b.double())
    assert value.dtype == torch.float32 and wide.dtype == torch.float64
    assert torch.allclose(value.double(), wide, rtol=1e-4, atol=1e-5)
