"""Networks: geometry that can be worked out by hand, and what must not matter to a prediction."""

import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from lumbo import store
from lumbo.angles import lumbopelvic_angles
from lumbo.errors import InputError
from lumbo.films import radiograph
from lumbo.learning import models
from lumbo.learning.models import (
    GLANCE,
    NETWORKS,
    PLATE,
    SQUARE,
    aim,
    askew,
    blob,
    build,
    cut,
    load,
    misses,
    save,
    turn,
)

SIZES = [radiograph.canvas(side) for side in (32, 128, 256)]
HEAT = GLANCE[0] // 4, GLANCE[1] // 4  # rows and columns of a heat map


def rng(seed=0):
    return np.random.default_rng(seed)


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def noise(n=2, height=128, width=104):
    return torch.rand(n, 1, height, width, generator=generator(1))


def a_patient(height=128, width=104):
    """Landmarks of one plausible patient who faces left, in pixels, (1, 6, 2)."""
    share = [[0.4, 0.62], [0.55, 0.55], [0.3, 0.15], [0.45, 0.17], [0.35, 0.85], [0.4, 0.83]]
    return torch.tensor([share]) * torch.tensor([width, height])


def heights(landmarks_px, height=128):
    """Say in film heights what is in pixels."""
    return (landmarks_px + 0.5) / height


@pytest.fixture(params=sorted(NETWORKS))
def network(request):
    return request.param


@pytest.fixture
def model(network):
    """A fresh network, whose closer looks find plates of nearly the usual length: short ones turn too easily."""
    model = build(network, 0).eval()
    for end in getattr(model, "ends", ()):
        torch.nn.init.normal_(end.weight, 0, 0.02, generator=generator())
    return model


# ------------------------------------------------------------------------- shapes


@pytest.mark.parametrize("size", SIZES)
def test_shapes_for_films_of_any_size(network, model, size):
    with torch.inference_mode():
        said = model(noise(3, *size))
    assert said.angles_deg.shape == said.spread_deg.shape == (3, 4)
    assert said.angles_deg.isfinite().all()
    if network == "regressor":
        assert said.landmarks_px is None
    else:
        assert said.landmarks_px.shape == (3, 6, 2)
        assert model.glance(noise(3, *size)).shape == (3, 6, *HEAT)


def test_the_encoder_halves_from_a_quarter_on():
    levels = models.Encoder()(noise(1, 128, 96))
    assert [level.shape[1:] for level in levels] == [
        (channels, 32 // 2**i, 24 // 2**i) for i, channels in enumerate(models.CHANNELS)
    ]


def test_a_closer_look_is_summed_up():
    assert models.Closer()(noise(5, SQUARE, SQUARE)).shape == (5, models.SEEN)


def test_a_film_is_glanced_at_in_its_own_proportions():
    """Or film heights would mean one thing down the film and another across it."""
    assert radiograph.canvas(GLANCE[0]) == GLANCE and GLANCE[0] % 4 == GLANCE[1] % 4 == 0


@pytest.mark.parametrize("size", SIZES)
def test_a_small_step_down_the_gradient_lowers_the_loss_as_it_says(model, size):
    films, landmarks = noise(1, *size), a_patient(*size)
    before = model.loss(films, landmarks, rng())
    before.backward()
    for name, weight in model.named_parameters():
        assert weight.grad is not None and weight.grad.isfinite().all(), name
    steepness = sum(weight.grad.square().sum() for weight in model.parameters())
    with torch.no_grad():
        for weight in model.parameters():
            weight -= 0.01 / steepness * weight.grad
        assert before - model.loss(films, landmarks, rng()) == pytest.approx(0.01, rel=0.3)


def test_nothing_is_computed_on_another_device_than_the_films(model, monkeypatch):
    """On "meta", which computes nothing and holds nothing, a tensor made elsewhere would be refused."""
    monkeypatch.setattr(models.angles, "lumbopelvic_angles", lambda points, facing: points.sum(-1)[:, :4])
    there, films = model.to("meta"), noise().to("meta")
    said = there(films)
    assert said.angles_deg.device.type == said.spread_deg.device.type == "meta"
    assert there.loss(films, a_patient().expand(2, 6, 2).to("meta"), rng()).device.type == "meta"


@pytest.mark.parametrize("size", [GLANCE, (256, 208), (32, 26), (272, 221), (5, 300)])
@pytest.mark.parametrize("want", [GLANCE, models.POOLED, (1, 1)])
def test_pooling_is_that_of_torch(size, want):
    images = noise(2, *size).double()
    expected = F.adaptive_avg_pool2d(images, want)
    torch.testing.assert_close(models.pool(images, want), expected, rtol=0, atol=1e-6)


# ------------------------------------------------------- heat maps, blobs, geometry


@pytest.mark.parametrize("row, column", [(0, 0), (5, 7), (31, 25)])
def test_a_single_peak_is_found_at_the_middle_of_its_cell(row, column):
    heat = torch.full((1, 1, 32, 26), -1e4)
    heat[0, 0, row, column] = 0
    found = models.soft_argmax(heat)[0, 0].tolist()
    assert found == pytest.approx([(column + 0.5) / 32, (row + 0.5) / 32], abs=1e-6)


def test_a_peak_between_cells_is_found_to_a_thousandth_of_a_cell():
    """A heat map that is a parabola on the film, whose softmax is a normal distribution around its top."""
    at = torch.tensor([[[0.323, 0.526], [0.3905, 0.379]]])
    y, x = ((torch.arange(size) + 0.5) / 32 for size in (32, 26))
    heat = -((x - at[..., None, :1]) ** 2 + (y[:, None] - at[..., None, 1:]) ** 2) / (2 * 0.04**2)
    assert (models.soft_argmax(heat) - at).abs().max() < 0.001 / 32


def test_equal_heat_everywhere_means_the_middle_of_the_film():
    found = models.soft_argmax(torch.zeros(1, 1, 32, 26))[0, 0].tolist()
    assert found == pytest.approx([26 / 64, 0.5], abs=1e-6)


def test_soft_argmax_only_looks_at_differences():
    heat = torch.randn(2, 6, 32, 26, generator=generator(), dtype=torch.float64)
    torch.testing.assert_close(models.soft_argmax(heat + 100), models.soft_argmax(heat), rtol=0, atol=1e-9)


@pytest.mark.parametrize("size", [HEAT, (64, 52), (40, 40)])
def test_a_blob_sums_to_one_and_its_mean_is_the_landmark(size):
    places = heights(a_patient()).double()
    inside = places.clamp(4 * models.BLOB, size[1] / size[0] - 4 * models.BLOB)
    assert blob(places, size).sum(-1).sub(1).abs().max() < 1e-9
    found = models.soft_argmax(blob(inside, size).log().unflatten(-1, size))
    assert (found - inside).abs().max() < 1e-4


def test_a_blob_is_as_wide_as_it_says():
    middle = torch.tensor([[[26 / 64, 0.5]]], dtype=torch.float64)
    share = blob(middle, (32, 26)).view(32, 26)
    x, y = ((torch.arange(size) + 0.5) / 32 for size in (26, 32))
    for along, place, at in ((0, x, 26 / 64), (1, y, 0.5)):
        spread = (share.sum(along) * (place - at) ** 2).sum().item() ** 0.5
        assert spread == pytest.approx(models.BLOB, rel=0.02)


# ------------------------------------------------------------------ a closer look


def unit(*degrees):
    """Unit vectors, (n, 2): to the right at 0 degrees, down at 90."""
    angle = torch.deg2rad(torch.tensor(degrees, dtype=torch.float64))
    return torch.stack([angle.cos(), angle.sin()], -1)


def test_turning_brings_the_x_axis_along_and_back_again():
    along = unit(0, 17, 90, 123, -60)
    points = torch.randn(5, 2, generator=generator(), dtype=torch.float64)
    torch.testing.assert_close(turn(torch.tensor([1.0, 0.0]).expand(5, 2).double(), along), along)
    torch.testing.assert_close(turn(torch.tensor([[0.0, 1.0]]).double(), unit(90)), unit(180))
    turned = turn(points, along)
    torch.testing.assert_close(turned.norm(dim=-1), points.norm(dim=-1))
    torch.testing.assert_close(turn(turned, along * torch.tensor([1.0, -1.0])), points)


def test_a_closer_look_is_aimed_at_the_middle_of_a_pair_and_along_it():
    points = heights(a_patient()).double()
    middle, along = aim(points)
    for k in range(3):
        first, second = points[0, 2 * k], points[0, 2 * k + 1]
        torch.testing.assert_close(middle[0, k], (first + second) / 2)
        wanted = (second - first) / (second - first).norm() if k < 2 else torch.tensor([1.0, 0.0]).double()
        torch.testing.assert_close(along[0, k], wanted)


def test_the_order_of_the_femoral_heads_does_not_matter():
    points = heights(a_patient())
    swapped = points[:, [0, 1, 2, 3, 5, 4]]
    for found, expected in zip(aim(swapped), aim(points)):
        assert torch.equal(found, expected)


def test_points_in_one_place_can_be_aimed_at():
    points = torch.full((1, 6, 2), 0.4, requires_grad=True)
    middle, along = aim(points)
    (middle.sum() + along.sum()).backward()
    assert middle.isfinite().all() and along.isfinite().all() and points.grad.isfinite().all()


def misaim(middle, along, generator):
    """Aim askew as training does."""
    return askew(middle, along, *(torch.from_numpy(a).to(middle) for a in misses(len(middle), generator)))


def test_aim_is_missed_as_much_as_promised_and_by_the_same_bits_again():
    points = heights(a_patient()).double().expand(4000, 6, 2)
    middle, along = aim(points)
    before = middle.clone(), along.clone()
    off, turned = misaim(middle, along, rng(3))
    assert torch.equal(middle, before[0]) and torch.equal(along, before[1])
    shift = (off - middle).flatten()
    angle = torch.atan2(
        along[..., 0] * turned[..., 1] - along[..., 1] * turned[..., 0], (along * turned).sum(-1)
    )
    for drawn, spread in ((shift, models.MISS), (angle.flatten(), models.TILT)):
        # Of N normal numbers the mean is off by SD / √N, the SD by SD / √(2 N).
        assert abs(drawn.mean()) < 4 * spread / len(drawn) ** 0.5
        assert abs(drawn.std() / spread - 1) < 4 / (2 * len(drawn)) ** 0.5
    torch.testing.assert_close(turned.norm(dim=-1), torch.ones(4000, 3).double())
    again, other = misaim(middle, along, rng(3)), misaim(middle, along, rng(4))
    assert torch.equal(off, again[0]) and torch.equal(turned, again[1]) and not torch.equal(off, other[0])


@pytest.fixture
def pixelwise(monkeypatch):
    """A film of 128 rows of which a closer look shows every pixel once."""
    monkeypatch.setattr(models, "FIELDS", (SQUARE / 128,) * 3)
    return noise(2)


@pytest.mark.parametrize("turns", range(4))
def test_a_square_on_the_pixel_grid_is_cut_out_exactly(pixelwise, turns):
    """Turned by whole quarters the other way: what lies along the aim comes to lie level."""
    column, row, half = 50, 60, SQUARE // 2
    middle = torch.tensor([column, row]).expand(2, 3, 2) / 128
    squares = cut(pixelwise, middle, unit(90 * turns).float().expand(2, 3, 2))
    patch = pixelwise[:, :, row - half : row + half, column - half : column + half]
    assert squares.shape == (2, 3, 1, SQUARE, SQUARE)
    for k in range(3):
        wanted = patch.rot90(turns, (2, 3)) - 0.5
        torch.testing.assert_close(squares[:, k], wanted, rtol=0, atol=2e-5)


def test_every_pair_and_every_film_has_a_square_of_its_own(pixelwise):
    columns, half = torch.tensor([[40, 45, 50], [55, 60, 65]]), SQUARE // 2
    middle = torch.stack([columns, torch.full((2, 3), 64)], -1) / 128
    squares = cut(pixelwise, middle, unit(0).float().expand(2, 3, 2))
    for n in range(2):
        for k in range(3):
            at = columns[n, k]
            wanted = pixelwise[n, :, 64 - half : 64 + half, at - half : at + half] - 0.5
            torch.testing.assert_close(squares[n, k], wanted, rtol=0, atol=2e-5)


def test_beside_the_film_it_is_dark(pixelwise):
    beyond = cut(pixelwise, torch.full((2, 3, 2), -3.0), unit(30).float().expand(2, 3, 2))
    assert (beyond == -0.5).all()


def dot(at, height, width):
    """A dark film with a bright dot on a place in film heights, (1, 1, h, w)."""
    y, x = ((torch.arange(size) + 0.5) / height for size in (height, width))
    square = (x - at[0]) ** 2 + (y[:, None] - at[1]) ** 2
    return (-square / (2 * 0.012**2)).exp()[None, None]


def light(square, field):
    """Where the light of a square lies from its middle, in film heights, (2,)."""
    share = (square[0] + 0.5) / (square[0] + 0.5).sum()
    cell = ((torch.arange(SQUARE) + 0.5) / SQUARE - 0.5) * field
    return torch.stack([(share.sum(0) * cell).sum(), (share.sum(1) * cell).sum()])


@pytest.mark.parametrize("size", [(128, 104), (256, 208)])
@pytest.mark.parametrize("degrees", [0, 35, 90, -140])
def test_a_place_on_a_square_and_on_the_film_are_the_same(size, degrees):
    """A bright dot lies where `look` would read it back: middle + turn(place on the square)."""
    middle, along = torch.tensor([0.42, 0.55]), unit(degrees).float()
    at = middle + torch.tensor([0.03, -0.05])
    squares = cut(dot(at, *size), middle.expand(1, 3, 2), along.expand(1, 3, 2))[0]
    for square, field in zip(squares, models.FIELDS):
        back = middle + turn(light(square, field), along[0])
        assert (back - at).abs().max() < 0.1 / 128  # a tenth of a pixel of the small film


def test_the_first_of_a_pair_lies_to_the_left_and_the_second_to_the_right():
    points = heights(a_patient())
    for i, side in ((0, -1), (1, 1), (2, -1), (3, 1)):
        squares = cut(dot(points[0, i], 128, 104), *aim(points))
        x, y = light(squares[0, i // 2], models.FIELDS[i // 2])
        half = (points[0, i] - points[0, i ^ 1]).norm() / 2
        assert x == pytest.approx(side * half.item(), abs=1e-3) and abs(y) < 1e-3


def test_before_anything_is_learnt_a_look_repeats_its_aim():
    """No weights in the last layer: each plate of usual length on its aim, both heads in the middle."""
    model = build("landmarks", 0)
    for end in model.ends:
        torch.nn.init.zeros_(end.weight)
    middle, along = misaim(*aim(heights(a_patient())), rng())
    points, _ = model.look(noise(1), middle, along)
    ends = torch.stack([middle - PLATE * along, middle + PLATE * along], 2)
    ends[:, 2] = middle[:, 2:]
    torch.testing.assert_close(points, ends.flatten(1, 2))


def test_each_look_is_aimed_by_the_one_before(monkeypatch, in_double):
    model, films, aims, found = build("landmarks", 2), noise(2), [], []
    plain = model.look

    def watched(films, middle, along):
        aims.append((middle, along))
        found.append(plain(films, middle, along))
        return found[-1]

    monkeypatch.setattr(model, "look", watched)
    with torch.inference_mode():
        said = model(films)
        starts = [models.soft_argmax(model.glance(films)), *(points for points, _ in found)]
    assert len(aims) == models.LOOKS + 2  # the last one straight and from either side
    for (middle, along), points in zip(aims[: models.LOOKS], starts):
        torch.testing.assert_close(middle, aim(points)[0])
        torch.testing.assert_close(along, aim(points)[1])
    (middle, along), *sides = aims[models.LOOKS - 1 :]
    for (other, turned), side in zip(sides, (-1, 1)):
        shift = torch.tensor([side * models.MISS, 0.0]).expand_as(middle)
        torch.testing.assert_close(other - middle, shift, rtol=0, atol=1e-6)
        cosine, sine = (
            (along * turned).sum(-1),
            along[..., 0] * turned[..., 1] - along[..., 1] * turned[..., 0],
        )
        torch.testing.assert_close(torch.atan2(sine, cosine), torch.full_like(sine, side * models.TILT))
    last = found[models.LOOKS - 1 :]
    torch.testing.assert_close(said.landmarks_px, last[0][0] * 128 - 0.5)
    apart = np.std([lumbopelvic_angles(points.numpy(), "left") for points, _ in last], axis=0)
    doubt = torch.hypot(last[0][1], torch.from_numpy(apart).float())
    torch.testing.assert_close(said.spread_deg, doubt, rtol=1e-4, atol=1e-3)


def test_angles_of_the_landmark_net_are_those_of_its_landmarks(in_double):
    with torch.inference_mode():
        said = build("landmarks", 3)(noise(4))
    measured = lumbopelvic_angles(said.landmarks_px.numpy(), "left")
    ss, pt, pi, _ = said.angles_deg.T
    assert torch.equal(pi, pt + ss)  # to the last bit
    np.testing.assert_allclose(said.angles_deg, measured, rtol=0, atol=1e-9)


def smooth(n, height, width):
    """Films that hold nothing finer than a small film shows."""
    coarse = torch.rand(n, 1, 16, 13, generator=generator(5))
    return F.interpolate(coarse, (height, width), mode="bicubic", align_corners=False).clamp(0, 1)


def test_the_number_of_pixels_hardly_matters(network, model):
    """To a regressor, to a glance, and to a look with the same aim."""
    small, large = (smooth(4, *size) for size in ((128, 104), (256, 208)))
    where = [part.expand(4, 3, 2) for part in aim(heights(a_patient()))]
    with torch.inference_mode():
        if network == "regressor":
            one, other = model(small), model(large)
            assert (one.angles_deg - other.angles_deg).abs().max() < 0.5
        else:
            glanced = [models.soft_argmax(model.glance(films)) for films in (small, large)]
            assert (glanced[0] - glanced[1]).abs().max() < 0.1 / 128  # a tenth of a pixel
            (one, _), (other, _) = (model.look(films, *where) for films in (small, large))
            assert (one - other).abs().max() < 0.1 / 128
            apart = lumbopelvic_angles(one, "left") - lumbopelvic_angles(other, "left")
            assert apart.abs().max() < 0.5


# ------------------------------------------------------------------------- losses


def test_landmark_loss_is_least_where_glance_and_look_are_right(monkeypatch):
    """The cross-entropy of a distribution with itself is its entropy; everything else is then nought."""
    model, landmarks = build("landmarks", 0), a_patient()
    rated = heights(landmarks)
    target = blob(rated, HEAT).clamp_min(1e-30)
    said = {"points": rated, "spread_deg": torch.full((1, 4), models.UNIT_DEG)}
    heat = target.log().view(1, 6, *HEAT)
    monkeypatch.setattr(model.glance, "forward", lambda films: heat)
    monkeypatch.setattr(model, "look", lambda films, middle, along: tuple(said.values()))
    entropy = -(target * target.log()).sum(-1).mean().item()
    least = model.loss(noise(1), landmarks, rng()).item()
    assert least == pytest.approx(entropy, abs=0.02)
    said["points"] = rated + torch.tensor([0.01, 0.0])
    assert model.loss(noise(1), landmarks, rng()) > least + 1e-3
    said["points"] = rated
    monkeypatch.setattr(model.glance, "forward", lambda films: heat.roll(1, -1))
    assert model.loss(noise(1), landmarks, rng()) > least + 1e-3


def test_the_loss_looks_where_aim_misses_the_rated_landmarks(monkeypatch):
    model, landmarks, seen = build("landmarks", 0), a_patient(), []
    plain = model.look
    monkeypatch.setattr(model, "look", lambda films, *where: seen.append(where) or plain(films, *where))
    model.loss(noise(1), landmarks, rng(6))
    expected = misaim(*aim(heights(landmarks)), rng(6))
    assert len(seen) == 1
    for found, wanted in zip(seen[0], expected):
        torch.testing.assert_close(found, wanted)


def test_regressor_loss_by_hand():
    films, landmarks = noise(3), a_patient().expand(3, 6, 2)
    model = build("regressor", 0)
    said, total = model(films), 0.0
    for found, spread, right in zip(said.angles_deg, said.spread_deg, lumbopelvic_angles(landmarks, "left")):
        for k in range(4):
            error, expected = abs(found[k] - right[k]).item() / 10, spread[k].item() / 10
            total += min(error, models.WILD_DEG / 10) / expected + np.log(expected)
    assert model.loss(films, landmarks, rng()).item() == pytest.approx(total / 12, rel=1e-5)


def test_doubt_is_least_wrong_when_it_is_the_mean_error():
    """The likelihood of a Laplace distribution is greatest where its scale is the mean absolute error."""
    error = torch.tensor([[0.1, 0.3, 0.2, 0.6]] * 3) * torch.tensor([[0.5], [1.0], [1.5]])
    best = error.mean(0) * models.UNIT_DEG
    least = models.laplace(error, best.expand(3, 4))
    for factor in (0.5, 0.9, 1.1, 2.0):
        assert models.laplace(error, factor * best.expand(3, 4)) > least


def test_doubt_is_positive_whatever_is_learnt(model):
    wild = models.spread(torch.tensor([-80.0, 0.0, 80.0]))
    assert (wild > 0).all() and wild.isfinite().all() and (wild.diff() > 0).all()
    torch.nn.init.normal_(model.doubt.weight, 0, 3, generator=generator())
    with torch.inference_mode():
        doubts = model(noise(3)).spread_deg
    assert (doubts > 0).all() and doubts.std() > 0


def test_before_anything_is_learnt_only_looks_that_disagree_raise_doubt(model):
    with torch.inference_mode():
        doubts = model(noise(3)).spread_deg
    looks = isinstance(model, models.LandmarkNet)
    assert ((doubts > models.SPREAD_DEG) if looks else (doubts == models.SPREAD_DEG)).all()


def test_a_wild_error_pulls_no_harder():
    landmarks, far = a_patient(), models.WILD_DEG
    rated = lumbopelvic_angles(landmarks, "left")
    said = (rated + torch.tensor([[10.0, far + 5, -3 * far, -2.5]])).requires_grad_()
    error = models.angle_error(said, landmarks)
    error.sum().backward()
    assert error[0].tolist() == pytest.approx([1, far / 10, far / 10, 0.25], rel=1e-4)
    assert said.grad[0].tolist() == pytest.approx([0.1, 0, 0, -0.1])


def test_a_closer_look_learns_a_few_films():
    """From squares around the rated landmarks alone, one look finds them again."""
    model, films = build("landmarks", 0), noise(2)
    landmarks = torch.cat([a_patient(), a_patient() + torch.tensor([6.0, -5.0])])
    rated = heights(landmarks)
    optimizer = torch.optim.AdamW(model.parameters())

    def off():
        return (model.look(films, *aim(rated))[0] - rated).norm(dim=-1).mean()

    before = off().item()
    for left in range(60, 0, -1):
        optimizer.param_groups[0]["lr"] = 5e-5 * left
        optimizer.zero_grad()
        off().backward()
        optimizer.step()
    assert off() < min(before / 5, 0.5 / 128)  # half a pixel of this film


# ----------------------------------------------------------- what must not matter


def test_a_film_is_predicted_alike_whatever_its_batch_mates(model):
    """In float64: on noise the looks of an untrained network magnify rounding, on some processors visibly."""
    mates = torch.zeros(5, 1, 128, 104), torch.ones(5, 1, 128, 104)
    film, dark, bright = (films.double() for films in (noise(1), *mates))
    model.double().train()  # where batch statistics would show
    with torch.inference_mode():
        alone = model(film)
        for mates in (dark, bright):
            crowd = model(torch.cat([film, mates]))
            torch.testing.assert_close(crowd.angles_deg[:1], alone.angles_deg, rtol=0, atol=1e-6)
            torch.testing.assert_close(crowd.spread_deg[:1], alone.spread_deg, rtol=0, atol=1e-6)


def test_nothing_but_weights_is_kept(model):
    """No running statistics: what is averaged between hospitals is what was learnt."""
    assert list(model.buffers()) == []
    assert not any("BatchNorm" in type(layer).__name__ for layer in model.modules())


def test_predictions_depend_on_the_film(model):
    with torch.inference_mode():
        one, two = model(torch.stack([noise(1)[0], noise(1)[0].flip(1)])).angles_deg
    assert (one - two).abs().max() > 1e-3


# ------------------------------------------------------------------- fresh weights


def same_weights(a, b):
    first, second = a.state_dict(), b.state_dict()
    return first.keys() == second.keys() and all(torch.equal(first[name], second[name]) for name in first)


def test_same_seed_same_weights_and_another_seed_others(network, untouched):
    assert same_weights(build(network, 7), build(network, 7))
    assert not same_weights(build(network, 7), build(network, 8))


def test_networks_built_at_the_same_moment_are_those_built_alone(network):
    alone = [build(network, seed) for seed in range(8)]
    gate = threading.Barrier(8)

    def together(seed):
        gate.wait()
        return build(network, seed)

    with ThreadPoolExecutor(8) as pool:
        assert all(map(same_weights, pool.map(together, range(8)), alone))


def test_initial_weights_are_those_of_he(network):
    for layer in build(network, 0).modules():
        if isinstance(layer, torch.nn.Conv2d | torch.nn.Linear):
            bound = (6 / layer.weight[0].numel()) ** 0.5  # uniform with variance 2 / fan-in
            assert layer.weight.abs().max() <= bound
            assert layer.weight.numel() < 1000 or abs(layer.weight.std() / bound * 3**0.5 - 1) < 0.1
        elif isinstance(layer, torch.nn.GroupNorm):
            assert layer.weight.eq(1).all() and layer.bias.eq(0).all()


def test_an_unknown_network_is_refused():
    with pytest.raises(InputError, match="network: got 'resnet'; allowed: one of regressor, landmarks"):
        build("resnet", 0)


# -------------------------------------------------------------------------- files


def test_saved_and_loaded_is_bit_equal(network, tmp_path, untouched):
    model = build(network, 5)
    again = load(save(tmp_path / "weights.safetensors", model, {"site": "aspen"}))
    assert type(again) is type(model) and same_weights(again, model)
    _, note = store.load_tensors(tmp_path / "weights.safetensors")
    assert note == {"network": network, "site": "aspen"}


def test_a_loaded_network_is_its_own_and_can_be_trained(tmp_path):
    again = load(save(tmp_path / "weights.safetensors", build("regressor", 0), {}))
    again.loss(noise(2), a_patient().expand(2, 6, 2), rng()).backward()
    optimizer = torch.optim.AdamW(again.parameters(), 1e-3)
    optimizer.step()
    assert not same_weights(again, build("regressor", 0))


def rewrite(path, note, change=dict):
    """Save a regressor, then the same file with other arrays and another note."""
    arrays, _ = store.load_tensors(save(path, build("regressor", 0), {}))
    store.save_tensors(path, change(arrays), note)


def one_missing(arrays):
    return dict(list(arrays.items())[1:])


def another_shape(arrays):
    return arrays | {"said.bias": np.zeros(5, np.float32)}


def not_finite(arrays):
    return arrays | {"said.bias": np.full(4, np.nan, np.float32)}


REGRESSOR = {"network": "regressor"}
BROKEN = {
    "missing": lambda path: None,
    "text": lambda path: path.write_text("weights"),
    "torn": lambda path: path.write_bytes(save(path, build("regressor", 0), {}).read_bytes()[:-100]),
    "no network named": lambda path: rewrite(path, {"site": "aspen"}),
    "unknown network": lambda path: rewrite(path, {"network": "resnet"}),
    "unhashable network": lambda path: rewrite(path, {"network": ["regressor"]}),
    "of the other network": lambda path: rewrite(path, {"network": "landmarks"}),
    "one weight missing": lambda path: rewrite(path, REGRESSOR, one_missing),
    "another shape": lambda path: rewrite(path, REGRESSOR, another_shape),
    "not finite": lambda path: rewrite(path, REGRESSOR, not_finite),
}


@pytest.mark.parametrize("how", BROKEN)
def test_a_broken_file_is_refused_by_name(how, tmp_path):
    path = tmp_path / "weights.safetensors"
    BROKEN[how](path)
    with pytest.raises(InputError) as error:
        load(path)
    assert error.value.field.startswith(str(path))
    assert len(str(error.value).splitlines()) == 1


def test_group_norm_is_the_norm_of_one_film():
    """The first norm of the encoder by hand: each group of channels has mean 0 and variance 1."""
    encoder = build("landmarks", 0).glance.encoder
    before = encoder.stem[0](noise(2) - 0.5)
    grouped = before.view(2, 8, -1)
    by_hand = (grouped - grouped.mean(-1, keepdim=True)) / (
        grouped.var(-1, correction=0, keepdim=True) + 1e-5
    ).sqrt()
    torch.testing.assert_close(encoder.stem[1](before).view(2, 8, -1), by_hand, rtol=0, atol=1e-4)
    torch.testing.assert_close(encoder(noise(2))[0], F.relu(encoder.stem[1](before)))
