"""A convolutional network (AlexNet): no decoder layers at all."""

from __future__ import annotations

from dataclasses import dataclass

from sample_builder.operation import CUBE, F32, Operation, Tensor, f32, matmul, mixed, vector
from sample_builder.step import Placed


@dataclass(frozen=True, kw_only=True)
class ConvolutionDescription:
    """Convolutions as (input channels, output channels, kernel, output size, pooled size or 0), then dense layers."""

    name: str
    convolutions: tuple[tuple[int, int, int, int, int], ...]
    dense: tuple[tuple[int, int], ...]
    layers: int = 0
    mtp_layers: int = 0
    library: str = "aclnn"


ALEXNET = ConvolutionDescription(
    name="alexnet",
    convolutions=(
        (3, 64, 11, 55, 27), (64, 192, 5, 27, 13), (192, 384, 3, 13, 0), (384, 256, 3, 13, 0), (256, 256, 3, 13, 6),
    ),
    dense=((9216, 4096), (4096, 4096), (4096, 1000)),
)  # fmt: skip


def convolve(network: ConvolutionDescription, batch: int, index: int) -> list[Placed]:
    """One forward pass over a batch of images, with the layout changes round each convolution."""
    operations: list[Operation] = []
    for source, target, kernel, size, pooled in network.convolutions:
        operations += _convolution(batch, source, target, kernel, size)
        if pooled:
            operations += _pool(batch, target, size, pooled)
    for depth, columns in network.dense:
        operations.append(matmul(batch, depth, columns, "other", "dense", bias=True, dtype=F32))
        operations.append(_plain("Relu", f32(batch, columns), f32(batch, columns)))
    operations.append(_plain("LogSoftmaxV2", f32(batch, 1000), f32(batch, 1000)))
    return [Placed(op, index, "unknown") for op in operations]


def _plain(op_type: str, source: Tensor, target: Tensor, api: str | None = None) -> Operation:
    return vector(op_type, "other", "other", source, target, api=api)


def _convolution(batch: int, source: int, target: int, kernel: int, size: int) -> list[Operation]:
    image, plain = (Tensor((batch, count, size, size), F32, "NCHW") for count in (source, target))
    fractal, output = (Tensor((batch, -(-count // 8), size, size, 8), F32, "NC1HWC0") for count in (source, target))
    weight = Tensor((target, source, kernel, kernel), F32, "NCHW")
    packed = Tensor((kernel * kernel * -(-source // 8), target // 16, 16, 8), F32, "FRACTAL_Z")
    return [
        _plain("TransData", image, fractal, "trans"),
        _plain("TransData", weight, packed, "trans"),
        mixed(
            "Conv2D", "other", "convolution", (fractal, packed, Tensor((target,), F32, "NCHW")), output, core=CUBE,
            blocks=16, flops=4 * batch * target * size * size * source * kernel * kernel,
        ),
        _plain("TransData", output, plain, "trans"),
        _plain("Relu", plain, plain),
    ]  # fmt: skip


def _pool(batch: int, channels: int, size: int, pooled: int) -> list[Operation]:
    whole, part = (Tensor((batch, channels, edge, edge), F32, "NCHW") for edge in (size, pooled))
    before, after = (Tensor((batch, channels // 16, edge, edge, 16), F32, "NC1HWC0") for edge in (size, pooled))
    api = "aclnnMaxPool2dWithMask_TransDataSpecial"
    return [
        _plain("TransData", whole, before, api),
        _plain("MaxPoolWithArgmaxV1", before, after),
        _plain("TransData", after, part, api),
    ]
