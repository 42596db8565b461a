"""Checks before a training: that examples fit the network, and that a state is of the same training."""

from __future__ import annotations

from pathlib import Path

from ipt.core.errors import IptError
from ipt.priors.refined import NetworkConfig, RefinedConfig
from ipt.training.options import changed, differences
from ipt.training.sources import Source
from ipt.training.state import About


def check_fit(network: NetworkConfig, source: Source) -> None:
    """Raise IptError if the network does not take the examples of the source."""
    if isinstance(network, RefinedConfig) and any(sides != (network.side,) * 2 for sides in source.sides):
        sizes = " and ".join(f"{width} x {height} px" for height, width in source.sides)
        raise IptError(
            f"the network refines pictures of {network.side} x {network.side} px, the training examples are {sizes}: "
            f"give pictures of its size"
        )
    if network.channels != source.channels:
        raise IptError(
            f"the network has {network.channels} channels, the training examples {source.channels}: make them equal"
        )
    for height, width in source.sides:
        if height % network.multiple or width % network.multiple:
            raise IptError(
                f"the network takes sides that are multiples of {network.multiple}, the training examples are "
                f"{width} x {height} px: choose another size, or other network.patch and network.multipliers"
            )


def check_state(path: Path, found: About, wanted: About, accept_changes: bool) -> None:
    """Raise IptError, naming the differences, if a training cannot continue a state.

    Args:
        path: Of the state, for messages.
        found: The state.
        wanted: The training; if it has no start or base, those of the state are accepted.
        accept_changes: Allow other options and examples.
    """
    if wanted.start is not None and (found.start is None or found.start.sha256 != wanted.start.sha256):
        raise IptError(
            f"{path} began with {found.start or 'random weights'}, not with {wanted.start}.\n"
            f"Leave the start out to continue it, or give another folder to start a new training."
        )
    if wanted.base is not None and (found.base is None or found.base.sha256 != wanted.base.sha256):
        raise IptError(
            f"{path} refines {found.base or 'nothing'}, not {wanted.base}.\n"
            f"Leave refine= out to continue it, or give another folder to start a new training."
        )
    if found.network != wanted.network:
        lines = "; ".join(differences(found.network.to_dict(), wanted.network.to_dict()))
        raise IptError(f"{path} holds another network ({lines}).\nGive the same options, or another folder.")
    others = changed(found.options, wanted.options)
    if found.source is not None:
        others += differences(found.source, wanted.source or {})
    if others and not accept_changes:
        raise IptError(
            f"{path} was trained with other options or examples ({'; '.join(others)}).\n"
            f"Give the same to continue it, another folder to start a new training, or change=True to continue with "
            f"the new ones."
        )
