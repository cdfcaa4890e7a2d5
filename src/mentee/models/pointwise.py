"""1×1 convolutions with a stride: what torch computes wrongly on a CPU, computed otherwise.

With fewer than 16 input channels in channels-last layout, the backward pass of such a convolution
writes outside its memory for large maps (seen in torch 2.14.1, float32, from 48×48 on, not up to
44×44): the process is aborted, sooner or later.
"""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional as F

SAFE, SMALL = 16, 32
"""Input channels from which on the backward pass is right, and sides up to which it is."""


class StridedPointwise(nn.Conv2d):
    r"""A 1×1 convolution of every s-th position, which is one with a stride of s.

    .. math:: y_{n,o,i,j} = b_o + \sum_c w_{o,c}\, x_{n,c,s_1 i,s_2 j}
    """

    def forward(self, input: Tensor) -> Tensor:
        """`[b, in, h, w]` to `[b, out, ⌈h / s₁⌉, ⌈w / s₂⌉]`."""
        if max(input.shape[-2:]) <= SMALL:
            return super().forward(input)
        rows, columns = self.stride
        return F.conv2d(input[..., ::rows, ::columns], self.weight, self.bias)


def replace_strided_pointwise(network: nn.Module) -> None:
    """Have each narrow 1×1 convolution with a stride computed so, in place; weights stay."""
    for each in network.modules():
        if (
            type(each) is nn.Conv2d
            and each.kernel_size == (1, 1)
            and each.stride != (1, 1)
            and each.padding in ((0, 0), "valid")
            and each.groups == 1
            and each.in_channels < SAFE
        ):
            each.__class__ = StridedPointwise
