"""The exceptions: each message says what was found, where, what was expected, what to do."""


class RdkYoloError(Exception):
    """Base of every error that this package raises on purpose."""


class WorkConfigError(RdkYoloError):
    """A work configuration file is missing, malformed, or contradicts itself or its model."""


class ModelError(RdkYoloError):
    """A model file cannot be opened, or takes an input that the package cannot feed."""


class HeadError(ModelError):
    """A model's outputs are no set of YOLO heads, or can be read in more than one way."""


class FrameError(RdkYoloError):
    """An image is malformed, or in an encoding that nothing installed here understands."""


class RuntimeUnavailableError(RdkYoloError):
    """The inference runtime that was asked for is not installed or cannot be used here."""


class InferenceTimeoutError(ModelError):
    """An inference did not end in its time; the runtime goes on with the next one."""


class RuntimeLostError(ModelError):
    """The runtime can run nothing any more and has to be opened again."""


class ComponentError(RdkYoloError):
    """A component cannot be found, loaded with what was asked for, or unloaded."""
