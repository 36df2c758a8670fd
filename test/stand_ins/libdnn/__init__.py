"""
A stand-in for libdnn.so, the boards' inference library, to run without a board.

`compile_stand_in` builds it from the C sources beside this file; `RDK_YOLO_LIBDNN` set to the
result makes `runtime: libdnn` use it, in this process or another. `write_model` and
`write_recorded_model` write the files that it takes for models; `StandIn` controls it.
"""

from stand_ins.libdnn.build import compile_stand_in
from stand_ins.libdnn.control import StandIn
from stand_ins.libdnn.model_file import (
    Model,
    Tensor,
    image_input,
    write_model,
    write_recorded_model,
)

__all__ = ['Model', 'StandIn', 'Tensor', 'compile_stand_in', 'image_input', 'write_model',
           'write_recorded_model']
