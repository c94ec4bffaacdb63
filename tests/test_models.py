"""Networks: geometry that can be worked out by hand, and what must not matter to a prediction."""

import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from lumbo import models, store
from lumbo.angles import lumbopelvic_angles
from lumbo.errors import InputError
from lumbo.models import NETWORKS, SPREAD_PX, STRIDE, blob, build, load, save, soft_argmax

SIZES = [(128, 104), (256, 208), (64, 64), (80, 112)]


def noise(n=2, height=128, width=104):
    return torch.rand(n, 1, height, width, generator=torch.Generator().manual_seed(1))


def a_patient(height=128, width=104):
    """Landmarks of one plausible patient who faces left, in pixels, (1, 6, 2)."""
    share = [[0.4, 0.62], [0.55, 0.55], [0.3, 0.15], [0.45, 0.17], [0.35, 0.85], [0.4, 0.83]]
    return torch.tensor([share]) * torch.tensor([width, height])


@pytest.fixture(params=sorted(NETWORKS))
def network(request):
    return request.param


@pytest.fixture
def model(network):
    return build(network, 0).eval()


# ------------------------------------------------------------------------- shapes


@pytest.mark.parametrize("size", SIZES)
def test_shapes_for_films_of_any_size(network, model, size):
    with torch.inference_mode():
        said = model(noise(3, *size))
    assert said.angles_deg.shape == (3, 4)
    assert said.angles_deg.isfinite().all()
    if network == "regressor":
        assert said.landmarks_px is None
    else:
        assert said.landmarks_px.shape == (3, 6, 2)
        assert model.heat(noise(3, *size)).shape == (3, 6, size[0] // STRIDE, size[1] // STRIDE)


def test_the_encoder_halves_from_a_quarter_on():
    levels = models.Encoder()(noise(1, 128, 96))
    assert [level.shape[1:] for level in levels] == [(16, 32, 24), (32, 16, 12), (64, 8, 6), (128, 4, 3)]


@pytest.mark.parametrize("size", SIZES)
def test_one_step_down_the_gradient_lowers_the_loss(model, size):
    films, landmarks = noise(1, *size), a_patient(*size)
    before = model.loss(films, landmarks)
    before.backward()
    with torch.no_grad():
        for weight in model.parameters():
            assert weight.grad.isfinite().all()
            weight -= 1e-4 * weight.grad
    assert model.loss(films, landmarks) < before


# ------------------------------------------------------- heat maps, blobs, geometry


@pytest.mark.parametrize("row, column", [(0, 0), (5, 7), (31, 25)])
def test_a_single_peak_is_found_at_the_middle_of_its_cell(row, column):
    heat = torch.full((1, 1, 32, 26), -1e4)
    heat[0, 0, row, column] = 0
    x, y = soft_argmax(heat)[0, 0].tolist()
    assert (x, y) == pytest.approx((4 * column + 1.5, 4 * row + 1.5), abs=1e-4)  # pixels 4c to 4c + 3


def test_a_peak_between_cells_is_found_to_a_hundredth_of_a_pixel():
    """A heat map that is a parabola on the film, whose softmax is a normal distribution around its top."""
    at = torch.tensor([[[41.3, 66.8], [50.01, 48.0]]])
    y, x = (torch.arange(size) * 4 + 1.5 for size in (32, 26))
    heat = -((x - at[..., None, :1]) ** 2 + (y[:, None] - at[..., None, 1:]) ** 2) / (2 * 5.0**2)
    assert (soft_argmax(heat) - at).abs().max() < 0.01


def test_equal_heat_everywhere_means_the_middle_of_the_film():
    assert soft_argmax(torch.zeros(1, 1, 32, 26))[0, 0].tolist() == pytest.approx([51.5, 63.5], abs=1e-4)


def test_soft_argmax_only_looks_at_differences():
    heat = torch.randn(2, 6, 32, 26, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    torch.testing.assert_close(soft_argmax(heat + 100), soft_argmax(heat), rtol=0, atol=1e-9)


@pytest.mark.parametrize("size", SIZES)
def test_a_blob_sums_to_one_and_its_mean_is_the_landmark(size):
    landmarks, cells = a_patient(*size).double(), (size[0] // STRIDE, size[1] // STRIDE)
    inside = blob(landmarks.clamp(4 * SPREAD_PX, min(size) - 4 * SPREAD_PX), cells)
    assert blob(landmarks, cells).sum(-1).sub(1).abs().max() < 1e-6
    found = soft_argmax(inside.log().unflatten(-1, cells))
    wanted = landmarks.clamp(4 * SPREAD_PX, min(size) - 4 * SPREAD_PX)
    assert (found - wanted).abs().max() < 0.01


def test_a_blob_is_as_wide_as_it_says():
    share = blob(torch.tensor([[[51.5, 63.5]]], dtype=torch.float64), (32, 26)).view(32, 26)
    x = torch.arange(26) * 4 + 1.5
    spread = ((share.sum(0) * (x - 51.5) ** 2).sum()) ** 0.5
    assert abs(spread - SPREAD_PX) < 0.05


def test_landmark_loss_is_least_where_the_heat_is_the_blob():
    """The cross-entropy of a distribution with itself is its entropy; the distance is then nought."""
    landmarks = torch.full((1, 6, 2), 50.0)
    target = blob(landmarks, (32, 26))
    model = build("landmarks", 0)
    model.heat = lambda films: target.clamp_min(1e-30).log().view(1, 6, 32, 26)
    entropy = -(target * target.clamp_min(1e-30).log()).sum(-1).mean()
    assert model.loss(noise(1), landmarks).item() == pytest.approx(entropy.item(), abs=2e-3)


def test_angles_of_the_landmark_net_are_those_of_its_landmarks():
    with torch.inference_mode():
        said = build("landmarks", 3)(noise(4))
    measured = lumbopelvic_angles(said.landmarks_px.numpy(), "left")
    ss, pt, pi, _ = said.angles_deg.T
    assert torch.equal(pi, pt + ss)  # to the last bit
    np.testing.assert_allclose(said.angles_deg, measured, atol=1e-3)


def test_regressor_loss_is_its_mean_error_in_tens_of_degrees():
    films, landmarks = noise(3), a_patient().expand(3, 6, 2)
    model = build("regressor", 0)
    error = (model(films).angles_deg - lumbopelvic_angles(landmarks, "left")).abs()
    assert model.loss(films, landmarks).item() == pytest.approx(error.mean().item() / 10, rel=1e-6)


# ----------------------------------------------------------- what must not matter


def test_a_film_is_predicted_alike_whatever_its_batch_mates(model):
    film, dark, bright = noise(1), torch.zeros(5, 1, 128, 104), torch.ones(5, 1, 128, 104)
    model.train()  # where batch statistics would show
    with torch.inference_mode():
        alone = model(film).angles_deg
        for mates in (dark, bright):
            torch.testing.assert_close(
                model(torch.cat([film, mates])).angles_deg[:1], alone, rtol=0, atol=1e-3
            )


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
    again.loss(noise(2), a_patient().expand(2, 6, 2)).backward()
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
    return arrays | {"head.3.bias": np.zeros(5, np.float32)}


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
    """The first norm of the encoder by hand: each group of two channels has mean 0 and variance 1."""
    encoder = build("landmarks", 0).encoder
    before = encoder.stem[0](noise(2) - 0.5)
    grouped = before.view(2, 8, -1)
    by_hand = (grouped - grouped.mean(-1, keepdim=True)) / (
        grouped.var(-1, correction=0, keepdim=True) + 1e-5
    ).sqrt()
    torch.testing.assert_close(encoder.stem[1](before).view(2, 8, -1), by_hand, rtol=0, atol=1e-4)
    torch.testing.assert_close(encoder(noise(2))[0], F.relu(encoder.stem[1](before)))
