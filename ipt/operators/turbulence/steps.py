"""The steps of `turbulence`: kernel and tilt given the image's estimate, and the image given both.

With x the image, u the tilt, k the kernel, and y = M(k, u) x for either order of warp and blur:

    kernel  the kernel step of `blur`, for the warped estimate of the image. In the order blur-then-tilt this treats
            warp and blur as if they commuted, which holds where the tilt hardly changes over a kernel's width.
    tilt    one Gauss-Newton iteration. With u0 the belief's mean and J the derivative of M x in the tilt,
            y - M(k, u0) x = J d + e is solved for the change d = u - u0, in coordinates in which the belief is white.
    image   the minimiser of sum over frames of ||y - M x||^2 / noise + ||x - x0||^2 / error, by conjugate gradients.

In each step the uncertainty of the other unknowns counts as noise: by frequency, as in `ipt.operators.blur.steps`, and
by pixel for the tilt, because an uncertain tilt makes edges uncertain (Mao, Chimitt, Chan, "Image Reconstruction of
Static and Dynamic Scenes Through Anisoplanatic Turbulence", 2020, weigh frames in the same way). Pixels that were not
measured have weight 0, and so has everything outside the frame.

Shapes: B images of F frames each. The frames of an image follow each other in the batch, (B F, C, H, W).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import torch
from torch import Tensor

from ipt.core.abilities import Belief
from ipt.core.observation import Observation
from ipt.linalg.chunks import chunks
from ipt.linalg.conjugate_gradients import conjugate_gradients
from ipt.linalg.fields import cosines
from ipt.linalg.gradients import squared_gradient
from ipt.linalg.spectra import from_luma_chroma, to_luma_chroma
from ipt.operators.blur.measured import Measured, squared
from ipt.operators.blur.padded_frame import PaddedFrame
from ipt.operators.blur.steps import LOCKED
from ipt.operators.blur.uncertainty import Innovation, error_spectrum, sum_over_frames
from ipt.operators.turbulence.optics import Optics, Weight

_TILT_ITERATIONS = 16
_IMAGE_ITERATIONS = 10
_TOLERANCE = 0.1
"""Relative residual at which the image step's system counts as solved: the error that is left is then below the noise
that the next transition adds. docs/method.md, Constants."""
_TRIALS = 4
"""Lengths of the tilt step that are tried: whole, a half, a quarter, an eighth."""
_USUAL_DISPLACEMENT = 0.25
"""Squared displacement of edges, in square pixels, that is normal in bursts and no reason to doubt the tilts."""
_SMOOTH = 16.0
"""Wavelength in pixels above which the tilt of a single frame cannot be told from the image's own shape."""


def solve_tilt(optics: Optics, observation: Observation, image: Belief, belief: Belief) -> Tensor:
    """The tilt in pixels, (B F, 2, H, W).

    Where the tilt's prior is Gaussian, that prior itself is weighed against the measurement, at every noise level. The
    estimate of the step before then only serves as the point of linearisation, and cannot confirm itself.

    Args:
        optics: forward model of all frames, its tilt at the belief's mean.
        observation: what was measured, (B F, C, H, W).
        image: belief about the image, (B, C, H, W).
        belief: belief about the tilt, (B F, 2, H, W).
    """
    padded, measurement = optics.padded, _on_image(optics.padded, observation, slice(0, 1))
    frames = len(observation) // len(image.mean)
    # Luminance alone: it has nearly all of the detail.
    picture = to_luma_chroma(image.mean)[:, :1].repeat_interleave(frames, 0)
    # The image was estimated with the tilts of the step before, so its error is correlated with theirs, the less the
    # more frames it was estimated from.
    error = error_spectrum(padded, image, picture)[:, :1]
    noise = observation.noise_variance + (1 + LOCKED / frames) * error * squared(optics.transfer)
    weight = Weight.of(optics, observation, noise)
    derivative, derivative_adjoint = optics.derivative(picture)
    residual = linearised = measurement - optics.forward(picture)
    if belief.prior_covariance is not None:
        start, covariance = torch.zeros_like(belief.mean), belief.prior_covariance
        linearised = residual + derivative(belief.mean)
    else:
        start, covariance = belief.mean, belief.covariance

    def identifiable(tilts: Tensor) -> Tensor:
        return tilts if belief.prior_covariance is None else _without_image_shape(tilts, frames)

    def adjoint(residual: Tensor) -> Tensor:
        return _by_image(covariance.root_transposed(identifiable(derivative_adjoint(weight(residual)))), frames)

    def forward(whitened: Tensor) -> Tensor:
        return derivative(identifiable(covariance.root(whitened.reshape(belief.mean.shape))))

    # The frames of an image are coupled, so each image is one system.
    whitened = conjugate_gradients(
        lambda vector: adjoint(forward(vector)) + vector, adjoint(linearised), None, _TILT_ITERATIONS
    )
    found = start + covariance.root(whitened.reshape(belief.mean.shape))
    step = identifiable(found) - belief.mean

    def misfit(residual: Tensor) -> Tensor:
        """Weighed sum of squares of each image's residual, the same for all of its frames, (B F, 1, 1, 1)."""
        each = (residual * weight(residual)).flatten(1).sum(1)
        return each.reshape(-1, frames).sum(1).repeat_interleave(frames).reshape(-1, 1, 1, 1)

    return belief.mean + _backtracked(
        step,
        misfit(residual),
        forecast=lambda change: misfit(residual - derivative(change)),
        actual=lambda change: misfit(measurement - replace(optics, tilt=belief.mean + change).forward(picture)),
    )


def _backtracked(
    step: Tensor, before: Tensor, forecast: Callable[[Tensor], Tensor], actual: Callable[[Tensor], Tensor]
) -> Tensor:
    """The step, halved for each image until its linear forecast holds, or 0 where it never does.

    It fails where the misfit rises above both its value before and twice the forecast.

    Args:
        step: (B, ...).
        before: misfit without the step, (B, 1, 1, 1).
        forecast: from a step to the misfit of the linear model.
        actual: from a step to the misfit.
    """
    share = torch.ones_like(before)
    for _ in range(_TRIALS):
        holds = actual(share * step) <= torch.maximum(before, 2 * forecast(share * step))
        if holds.all():
            break
        share = torch.where(holds, share, share / 2)
    else:
        share = torch.where(holds, share, 0)
    return share * step


def _by_image(tilts: Tensor, frames: int) -> Tensor:
    """(B F, 2, H, W) -> (B, 2 F, H, W)."""
    return tilts.reshape(-1, 2 * frames, *tilts.shape[2:])


def _without_image_shape(tilts: Tensor, frames: int) -> Tensor:
    """Tilts (B F, 2, H, W) without the part that no measurement tells from the image's own shape; a projection.

    Of several frames that part is their mean. Of a single frame it is what is smooth: a warped face is a face.
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
        optics: forward model of all frames.
        observation: what was measured, (B F, C, H, W).
        belief: belief about the image.
        kernel_belief: belief about the kernels before the parameter step: of every frame, or of the one that frames
            share; None if they are known.
        tilt_belief: belief about the tilts before the parameter step; None if they are known.
    """
    padded, measurement = optics.padded, _on_image(optics.padded, observation)
    frames = len(observation) // len(belief.mean)
    start = to_luma_chroma(belief.mean)
    error = error_spectrum(padded, belief, start)
    noise = observation.noise_variance
    if kernel_belief is not None:
        noise = noise + _kernel_noise(optics, observation, belief, kernel_belief, error)
    disturbance: Tensor | float = 0.0
    # In a single exposure, what a tilt does is the picture's own shape: doubting its edges would only blur them.
    if tilt_belief is not None and frames > 1:
        predicted = optics.forward(start[:, :1].repeat_interleave(frames, 0))
        unexplained = measurement[:, :1] - predicted
        disturbance = _tilt_noise(optics, observation, predicted, unexplained, noise, error, tilt_belief, frames)
    weight = Weight.of(optics, observation, noise, disturbance)
    precision = weight.confidence.square().mean((-2, -1), keepdim=True) * squared(optics.transfer) / noise
    gain = 1 / (sum_over_frames(precision, frames) + 1 / error)

    def explained(residual: Callable[[slice], Tensor]) -> Tensor:
        """Sum over the frames of M' weight(residual), (B, C, H, W); residual: of some rows of frames."""

        def adjoint(rows: slice) -> Tensor:
            return optics.rows(rows).adjoint(weight.rows(rows)(residual(rows)))

        return _sum_in_chunks(adjoint, measurement.shape, frames)

    def forward(picture: Tensor, rows: slice) -> Tensor:
        image_of_row = torch.arange(rows.start, rows.stop, device=picture.device) // frames
        return optics.rows(rows).forward(picture[image_of_row])

    def apply(change: Tensor) -> Tensor:
        pull = padded.fold(padded.filtered(padded.extend(change), 1 / error))
        return explained(lambda rows: forward(change, rows)) + pull

    def precondition(residual: Tensor) -> Tensor:
        return padded.crop(padded.filtered(padded.uncrop(residual), gain))

    right = explained(lambda rows: measurement[rows] - forward(start, rows))
    # With all parameters known the image is the only source of error, and is solved for exactly.
    tolerance = 0.0 if kernel_belief is None and tilt_belief is None else _TOLERANCE
    change = conjugate_gradients(apply, right, None, _IMAGE_ITERATIONS, precondition, tolerance)
    return from_luma_chroma(start + change)


def _kernel_noise(
    optics: Optics, observation: Observation, belief: Belief, kernel_belief: Belief, error: Tensor
) -> Tensor:
    """Variance by frequency, (B F, C, P, Q // 2 + 1), of what the kernels' uncertainty adds to the measurement."""
    padded, frames = optics.padded, len(observation) // len(belief.mean)
    warped = replace(belief, mean=optics.warped(belief.mean.repeat_interleave(frames, 0)))
    known = Innovation.of(padded, Measured.on(padded, observation, error.dtype), warped, kernel_belief, path=False)
    power = squared(known.picture) / (padded.size[0] * padded.size[1]) + error
    # The error of a kernel that frames share does not average out over them.
    sharing = len(power) // len(kernel_belief.mean)
    remaining = sharing * known.remaining(padded).repeat_interleave(sharing, 0)
    return power * LOCKED * remaining


def _tilt_noise(
    optics: Optics,
    observation: Observation,
    predicted: Tensor,
    unexplained: Tensor,
    noise: Tensor,
    error: Tensor,
    tilt_belief: Belief,
    frames: int,
) -> Tensor:
    """Variance by pixel, (B F, 1, H, W), of what the tilts' uncertainty adds to the measurement.

    It is the squared gradient times the variance of the tilt: the believed one, or the measured displacement of edges
    where that is larger, as in video that was compressed and sharpened.

    Args:
        optics: forward model of all frames.
        observation: what was measured.
        predicted: luminance of the predicted frames, (B F, 1, H, W).
        unexplained: luminance of measurement - prediction, (B F, 1, H, W).
        noise: variance by frequency, the kernels' uncertainty included.
        error: variance by frequency of the image's error.
        tilt_belief: belief about the tilts.
        frames: F.
    """
    slope = squared_gradient(predicted)
    inside = (Weight.of(optics, observation, noise).confidence > 0).to(slope)
    usual = noise + error * squared(optics.transfer)
    displacement = _edge_displacement(optics, unexplained, inside, slope, usual[:, :1], frames)
    believed = tilt_belief.covariance.variance.mean((-3, -2, -1), keepdim=True)
    return torch.maximum(believed, displacement - _USUAL_DISPLACEMENT) * slope


def _edge_displacement(
    optics: Optics, residual: Tensor, inside: Tensor, slope: Tensor, usual: Tensor, frames: int
) -> Tensor:
    """Mean squared distance in pixels of edges from where they are predicted, (B F, 1, 1, 1), at least 0.

    Noise is subtracted, and so is what the residuals of an image have in common once they are unwarped: that is an
    error of the image, not of the tilts.

    Args:
        optics: forward model of all frames.
        residual: luminance of measurement - prediction, (B F, 1, H, W).
        inside: 1 where something was measured, else 0, (B F, 1, H, W).
        slope: squared gradient of the prediction, (B F, 1, H, W).
        usual: variance by frequency that the residual has for other reasons.
        frames: F.
    """
    total, count = (sum_over_frames(optics.warped_adjoint(one), frames) for one in (inside * residual, inside))
    common = (total / count.clamp(min=1)).repeat_interleave(frames, 0)
    own = (residual - optics.warped(common)).square() * (frames / (frames - 1))
    rest = (inside * (own - usual.mean((-2, -1), keepdim=True))).sum((-2, -1), keepdim=True)
    return (rest / (inside * slope).sum((-2, -1), keepdim=True).clamp(min=1e-12)).clamp(min=0)


def _sum_in_chunks(each: Callable[[slice], Tensor], shape: Sequence[int], frames: int) -> Tensor:
    """Sums over the frames of each image, (B, ...), of what `each` makes of rows of frames.

    Args:
        each: from a range of rows to their results, (rows, ...).
        shape: of all frames, (B F, ..., H, W).
        frames: F.
    """
    if len(chunks(shape)) == 1:
        return sum_over_frames(each(slice(0, shape[0])), frames)
    sums = []
    for first in range(0, shape[0], frames):
        inside = chunks((frames, *shape[1:]))
        made = (each(slice(first + rows.start, first + rows.stop)).sum(0, keepdim=True) for rows in inside)
        sums.append(sum(made, torch.zeros(())))
    return torch.cat(sums)


def _on_image(padded: PaddedFrame, observation: Observation, channels: slice = slice(None)) -> Tensor:
    """The measurement in luminance and chrominance at its place in the image, 0 around it, (B F, C, H, W)."""
    return padded.crop(padded.embed(to_luma_chroma(observation.measurement)[:, channels]))
