"""The steps of `turbulence`: kernel and tilt given the image's estimate, and the image given both.

With x the image, u the tilt, k the kernel, and both orders of the two written as y = M(k, u) x:

    kernel  that of `blur` for the warped estimate (in the order blur-then-tilt: as if the two commuted, which they do
            where the tilt hardly changes over a kernel's width)
    tilt    y - M(k, u0) x = J d + e, with the derivative J of M x in the tilt, d what is left of the tilt beyond the
            belief's mean u0; a Gauss-Newton iteration, in the coordinates in which the belief about d is white
    image   the minimiser of sum over frames of ||y - M x||^2 / noise + ||x - x0||^2 / error, by conjugate gradients

In each the uncertainty of the other unknowns counts as noise, frequency by frequency as in `ipt.operators.blur.steps`,
pixel by pixel where it depends on the place: an uncertain tilt makes edges uncertain (Mao, Chimitt, Chan, "Image
Reconstruction of Static and Dynamic Scenes Through Anisoplanatic Turbulence", 2020, weigh frames by as much). What was
not measured, as what lies outside the frame, has no weight.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import torch
from torch import Tensor

from ipt.core.abilities import Belief
from ipt.core.observation import Observation
from ipt.linalg.conjugate_gradients import conjugate_gradients
from ipt.linalg.fields import cosines
from ipt.linalg.parts import parts
from ipt.linalg.spectra import from_luma_chroma, to_luma_chroma
from ipt.operators.blur.measured import Measured, squared
from ipt.operators.blur.padded_frame import PaddedFrame
from ipt.operators.blur.steps import LOCKED
from ipt.operators.blur.uncertainty import Innovation, added, error_spectrum
from ipt.operators.turbulence.optics import Optics, Weight

_TILT_ITERATIONS = 16
_IMAGE_ITERATIONS = 10
_TOLERANCE = 0.1
"""Residual of the image step's system, as a share of what it was, from which on what is wrong is less than the noise
that the step is followed by: docs/method.md, Constants."""
_TRIALS = 4
"""Of a step: whole, a half, a quarter, an eighth."""
_USUAL_AWAY = 0.25
"""Square pixels by which edges are away from where they are predicted in usual bursts, and no reason to doubt them."""
_SMOOTH = 16.0
"""Wavelength in pixels from which on a single frame's tilt cannot be told from the image's own shape."""


def solve_tilt(optics: Optics, observation: Observation, image: Belief, belief: Belief) -> Tensor:
    """The tilt in pixels, (B F, 2, H, W).

    Where the prior is Gaussian it is that prior which is weighed against the measurement, however small the noise level
    has become: what the last step found then serves only to linearise about, and cannot prove itself.

    Args:
        optics: with the belief's mean for tilt.
        observation: of F frames of each image, one after the other.
        image: what is believed of the image.
        belief: what is believed of the tilt.
    """
    padded, measurement = optics.padded, _on_image(optics.padded, observation, slice(0, 1))
    frames = len(observation) // len(image.mean)
    # Luminance alone, which nearly all of the detail is in.
    picture = to_luma_chroma(image.mean)[:, :1].repeat_interleave(frames, 0)
    # The image's error was made with the last step's tilts: it is of one mind with them, unless many frames shared it.
    error = error_spectrum(padded, image, picture)[:, :1]
    noise = observation.noise_variance + (1 + LOCKED / frames) * error * squared(optics.transfer)
    weight = Weight.of(optics, observation, noise)
    along, back = optics.derivative(picture)
    unexplained = rest = measurement - optics.forward(picture)
    if belief.prior_covariance is not None:
        start, covariance, rest = torch.zeros_like(belief.mean), belief.prior_covariance, rest + along(belief.mean)
    else:
        start, covariance = belief.mean, belief.covariance

    def own(tilts: Tensor) -> Tensor:
        return tilts if belief.prior_covariance is None else _own(tilts, frames)

    def explained(residual: Tensor) -> Tensor:
        return _stacked(covariance.root_transposed(own(back(weight(residual)))), frames)

    def shifted(change: Tensor) -> Tensor:
        return own(covariance.root(change.reshape(belief.mean.shape)))

    # The frames of an image hang together, so they are one system.
    right = explained(rest)
    change = conjugate_gradients(
        lambda change: explained(along(shifted(change))) + change, right, None, _TILT_ITERATIONS
    )
    found = start + covariance.root(change.reshape(belief.mean.shape))
    step = own(found) - belief.mean

    def misfit(residual: Tensor) -> Tensor:
        each = (residual * weight(residual)).flatten(1).sum(1)
        return each.reshape(-1, frames).sum(1).repeat_interleave(frames).reshape(-1, 1, 1, 1)

    # A step is taken as far as its linear forecast holds: not where the misfit is above both what it was and twice what
    # was forecast.
    before = misfit(unexplained)
    share = torch.ones_like(before)
    for _ in range(_TRIALS):
        there = replace(optics, tilt=belief.mean + share * step)
        forecast = misfit(unexplained - along(share * step))
        held = misfit(measurement - there.forward(picture)) <= torch.maximum(before, 2 * forecast)
        if held.all():
            break
        share = torch.where(held, share, share / 2)
    else:
        share = torch.where(held, share, 0)
    return belief.mean + share * step


def _stacked(tilts: Tensor, frames: int) -> Tensor:
    """(B F, 2, H, W) -> (B, 2 F, H, W)."""
    return tilts.reshape(-1, 2 * frames, *tilts.shape[2:])


def _own(tilts: Tensor, frames: int) -> Tensor:
    """The part of tilts (B F, 2, H, W) that is not the image's own shape, which no measurement tells from it.

    That is not what all frames share, nor, of a single frame, what is smooth: a warped face is a face. A projection.
    """
    if frames > 1:
        each = tilts.reshape(-1, frames, *tilts.shape[1:])
        return (each - each.mean(1, keepdim=True)).flatten(0, 1)
    down, right = (cosines(side).to(tilts) for side in tilts.shape[-2:])
    rows, columns = (torch.arange(side).to(tilts) / (2 * side) for side in tilts.shape[-2:])
    rough = torch.hypot(rows[:, None], columns) >= 1 / _SMOOTH
    return down.T @ (rough * (down @ tilts @ right.T)) @ right


def solve_image(
    optics: Optics, observation: Observation, belief: Belief, kernel_belief: Belief | None, tilt_belief: Belief | None
) -> Tensor:
    """The image given valid parameters, (B, C, H, W).

    Args:
        optics: with the parameters of every frame.
        observation: of F frames of each image, one after the other, (B F, C, H, W).
        belief: what is believed of the image.
        kernel_belief: what was believed of the kernels, or of the one of all frames, before the parameter step; None if
            they are known.
        tilt_belief: likewise of the tilts.
    """
    padded, measurement = optics.padded, _on_image(optics.padded, observation)
    frames = len(observation) // len(belief.mean)
    start = to_luma_chroma(belief.mean)
    error = error_spectrum(padded, belief, start)

    def each(picture: Tensor) -> Tensor:
        return picture.repeat_interleave(frames, 0)

    noise = observation.noise_variance
    if kernel_belief is not None:
        warped = replace(belief, mean=optics.warped(each(belief.mean)))
        known = Innovation.of(padded, Measured.on(padded, observation, start.dtype), warped, kernel_belief)
        power = squared(known.picture) / (padded.size[0] * padded.size[1]) + error
        # What is uncertain in a kernel that frames share does not average out over them.
        sharing = len(power) // len(kernel_belief.mean)
        remaining = sharing * known.remaining(padded).repeat_interleave(sharing, 0)
        noise = noise + power * LOCKED * remaining
    disturbance: Tensor | float = 0.0
    # In video that was compressed and sharpened, edges are further away than the tilts' belief says.
    # Of a single exposure what a tilt does is the picture's own shape: doubting its edges would only blur them.
    if tilt_belief is not None and frames > 1:
        seen = optics.forward(each(start[:, :1]))
        slope = torch.stack(torch.gradient(seen, dim=(-2, -1))).square().sum(0)
        inside = (Weight.of(optics, observation, noise).confidence > 0).to(slope)
        usual = noise + error * squared(optics.transfer)
        away = _away(optics, measurement[:, :1] - seen, inside, slope, usual[:, :1], frames)
        believed = tilt_belief.covariance.variance.mean((-3, -2, -1), keepdim=True)
        disturbance = torch.maximum(believed, away - _USUAL_AWAY) * slope
    weight = Weight.of(optics, observation, noise, disturbance)
    seen = weight.confidence.square().mean((-2, -1), keepdim=True) * squared(optics.transfer) / noise
    total = added(seen, frames)
    solve = 1 / (total + 1 / error)

    def explained(residual: Callable[[slice], Tensor]) -> Tensor:
        """What weighed residuals, of some rows of frames each, say of the image."""

        def adjoint(rows: slice) -> Tensor:
            return optics.part(rows).adjoint(weight.part(rows)(residual(rows)))

        return _added(adjoint, measurement.shape, frames)

    def predicted(picture: Tensor, rows: slice) -> Tensor:
        return optics.part(rows).forward(picture[torch.arange(rows.start, rows.stop, device=picture.device) // frames])

    def apply(change: Tensor) -> Tensor:
        pull = padded.fold(padded.filtered(padded.extend(change), 1 / error))
        return explained(lambda rows: predicted(change, rows)) + pull

    def precondition(residual: Tensor) -> Tensor:
        return padded.crop(padded.filtered(padded.uncrop(residual), solve))

    right = explained(lambda rows: measurement[rows] - predicted(start, rows))
    # Of an image whose parameters are known nothing else is wrong.
    tolerance = 0.0 if kernel_belief is None and tilt_belief is None else _TOLERANCE
    change = conjugate_gradients(apply, right, None, _IMAGE_ITERATIONS, precondition, tolerance)
    return from_luma_chroma(start + change)


def _away(optics: Optics, residual: Tensor, inside: Tensor, slope: Tensor, usual: Tensor, frames: int) -> Tensor:
    """How far edges are from where they are predicted, in pixels, squared, that noise does not explain, (B F, 1, 1, 1).

    What the residuals have in common, once they are moved back, is an error of the picture, and none of the tilts.

    Args:
        optics: of the frames.
        residual: measurement less prediction, luminance, (B F, 1, H, W).
        inside: 1 where something was measured, likewise.
        slope: squared gradient of the prediction.
        usual: variance a frequency of the residual otherwise.
        frames: of an image, F, one after the other.
    """
    total, count = (added(optics.unwarped(one), frames) for one in (inside * residual, inside))
    common = (total / count.clamp(min=1)).repeat_interleave(frames, 0)
    own = (residual - optics.warped(common)).square() * (frames / (frames - 1))
    rest = (inside * (own - usual.mean((-2, -1), keepdim=True))).sum((-2, -1), keepdim=True)
    return (rest / (inside * slope).sum((-2, -1), keepdim=True).clamp(min=1e-12)).clamp(min=0)


def _added(each: Callable[[slice], Tensor], shape: Sequence[int], frames: int) -> Tensor:
    """The sums over the frames of each image of what `each` makes of rows of them; shape: of all, (B F, ..., H, W)."""
    if len(parts(shape)) == 1:
        return added(each(slice(0, shape[0])), frames)
    sums = []
    for first in range(0, shape[0], frames):
        inside = parts((frames, *shape[1:]))
        made = (each(slice(first + rows.start, first + rows.stop)).sum(0, keepdim=True) for rows in inside)
        sums.append(sum(made, torch.zeros(())))
    return torch.cat(sums)


def _on_image(padded: PaddedFrame, observation: Observation, channels: slice = slice(None)) -> Tensor:
    """The measurement in luminance and chrominance in its place in the image, and 0 around it."""
    return padded.crop(padded.embed(to_luma_chroma(observation.measurement)[:, channels]))
