"""A convolutional network (AlexNet): no decoder layers at all."""

from __future__ import annotations

from dataclasses import dataclass

from sample_builder.operation import CUBE, F32, Operation, Tensor, matmul, vector
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
        operations.append(matmul(batch, depth, columns, region="other", role="dense", bias=True, dtype=F32))
        operations.append(_relu(Tensor((batch, columns), F32)))
    operations.append(
        _plain(
            "LogSoftmaxV2", Tensor((batch, 1000), F32), Tensor((batch, 1000), F32), "aclnnLogSoftmax_LogSoftmaxAiCore"
        )
    )
    return [Placed(op, index, "unknown") for op in operations]


def _plain(op_type: str, source: Tensor, target: Tensor, api: str) -> Operation:
    return vector(op_type, region="other", role="other", inputs=(source,), outputs=(target,), api=api)


def _relu(tensor: Tensor) -> Operation:
    return _plain("Relu", tensor, tensor, "aclnnInplaceRelu_Relu")


def _convolution(batch: int, source: int, target: int, kernel: int, size: int) -> list[Operation]:
    image = Tensor((batch, source, size, size), F32, "NCHW")
    fractal = Tensor((batch, -(-source // 8), size, size, 8), F32, "NC1HWC0")
    weight = Tensor((target, source, kernel, kernel), F32, "NCHW")
    packed = Tensor((kernel * kernel * -(-source // 8), target // 16, 16, 8), F32, "FRACTAL_Z")
    output = Tensor((batch, target // 8, size, size, 8), F32, "NC1HWC0")
    plain = Tensor((batch, target, size, size), F32, "NCHW")
    convolution = Operation(
        op_type="Conv2D",
        region="other",
        role="convolution",
        core=CUBE,
        inputs=(fractal, packed, Tensor((target,), F32, "NCHW")),
        outputs=(output,),
        api="aclnnConvolution",
        blocks=16,
        flops=4 * batch * target * size * size * source * kernel * kernel,
    )
    return [
        _plain("TransData", image, fractal, "trans"),
        _plain("TransData", weight, packed, "trans"),
        convolution,
        _plain("TransData", output, plain, "trans"),
        _relu(plain),
    ]


def _pool(batch: int, channels: int, size: int, pooled: int) -> list[Operation]:
    before = Tensor((batch, channels // 16, size, size, 16), F32, "NC1HWC0")
    after = Tensor((batch, channels // 16, pooled, pooled, 16), F32, "NC1HWC0")
    api = "aclnnMaxPool2dWithMask_TransDataSpecial"
    return [
        _plain("TransData", Tensor((batch, channels, size, size), F32, "NCHW"), before, api),
        _plain("MaxPoolWithArgmaxV1", before, after, "aclnnMaxPool2dWithMask_MaxPoolWithArgmaxV1AiCore"),
        _plain("TransData", after, Tensor((batch, channels, pooled, pooled), F32, "NCHW"), api),
    ]
