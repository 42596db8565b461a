"""A protocol's measurements and truths as files, so that other codes can be compared on the same data.

    FOLDER/protocol.yaml
    FOLDER/00003.npy                   the measurement, float32 (3, S, S), noise and all; 00003.png: at 16 bits, clipped
    FOLDER/truth/00003.png             the clean picture, at 16 bits
    FOLDER/truth/00003.kernel.npy      the true parameter, float32 (C, h, w)

`ipt solve FOLDER --reference FOLDER/truth` reads these.
"""

from __future__ import annotations

from dataclasses import replace

from ipt.bench.cases import cases_of
from ipt.bench.protocol import SHIPPED, Protocol
from ipt.bench.saving import save_protocol
from ipt.images import files
from ipt.images.atomic import check_folder
from ipt.images.files import Picture
from ipt.images.parameters import parameter_file, write_parameter


def export(protocol: Protocol, folder: str) -> int:
    """Write the files; how many cases. Of a protocol without pictures, the parameters alone, which are the same for all
    pictures. IptError as for `cases_of`."""
    bare = not protocol.pictures
    # Parameters do not depend on the picture, so any will do.
    cases = cases_of(replace(protocol, pictures=SHIPPED) if bare else protocol)
    out = check_folder(folder)
    truth = check_folder(out / "truth")
    save_protocol(out, protocol)
    for number in range(len(cases)):
        case = cases[number]
        picture = truth / f"{case.stem}.png"
        for name, value in case.parameters.items():
            write_parameter(parameter_file(picture, name), value)
        if bare:
            continue
        files.write(picture, Picture(case.clean, depth=16))
        write_parameter(out / f"{case.stem}.npy", case.measurement)
        files.write(out / f"{case.stem}.png", Picture(case.measurement, depth=16))
    return len(cases)
