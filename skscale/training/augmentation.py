"""Random image augmentation: shift, mirror, zoom, erase.

Each image gets one affine map, sampled with bilinear interpolation. Outside the image, the
nearest edge pixel counts. Shifts by whole pixels and mirror images are exact.
"""

import torch
from torch.nn.functional import grid_sample

# Fractions of the side: the longest shift, the smallest crop, and the widest erased patch
# (Zhong et al. 2020, "Random erasing data augmentation").
_SHIFT, _CROP, _ERASED = 1 / 8, 0.75, 1 / 2
_N_NUMBERS = 11


def draw_changes(random, n_rows):
    """Draw uniform random numbers of shape (n_rows, 11) from the stream of a FeedRandom.

    The number is the same for all kinds, so that adding one does not change the others.
    """
    return torch.from_numpy(random.augmentation(n_rows, _N_NUMBERS))


def change_images(augmentation, rows, random):
    """Augment images for one step.

    Parameters
    ----------
    augmentation : Augmentation
    rows : tensor of shape (n_rows, n_pixels * n_channels)
    random : tensor of shape (n_rows, 11)
        See `draw_changes`.

    Returns
    -------
    tensor of shape (n_rows, n_pixels * n_channels)
    """
    kinds = augmentation.kinds
    images = rows.view(-1, *augmentation.image_shape)
    if not augmentation.channels_first:
        images = images.permute(0, 3, 1, 2)
    # bfloat16 cannot represent pixel coordinates, and lacks a kernel.
    images = images.to(torch.promote_types(images.dtype, torch.float32))
    n, _, height, width = images.shape
    random = random.to(images)
    if kinds & {"shift", "flip", "crop"}:
        images = _sample(images, *_affine(kinds, random, height, width))
    if "erase" in kinds:
        images = _erase(images, random[:, 6:])
    if not augmentation.channels_first:
        images = images.permute(0, 2, 3, 1)
    return images.reshape(n, -1).to(rows.dtype)


def _affine(kinds, random, height, width):
    """Return scales and centers of rows and columns, in coordinates from -1 to 1."""
    n = len(random)
    scale = random.new_ones(n, 2)
    center = random.new_zeros(n, 2)
    if "crop" in kinds:
        side = _CROP + (1 - _CROP) * random[:, 0]
        scale = scale * side[:, None]
        # The crop stays within the image.
        center = (2 * random[:, 1:3] - 1) * (1 - side)[:, None]
    if "shift" in kinds:
        sides = random.new_tensor([height, width])
        most = torch.floor(sides * _SHIFT)
        pixels = torch.floor(random[:, 3:5] * (2 * most + 1)) - most
        center = center + 2 * pixels / sides
    if "flip" in kinds:
        mirror = torch.where(random[:, 5] < 0.5, -1.0, 1.0)
        scale = torch.stack([scale[:, 0], scale[:, 1] * mirror], dim=1)
    return scale, center


def _sample(images, scale, center):
    n, _, height, width = images.shape

    def places(side, k):
        # Pixel centers.
        steps = (2 * torch.arange(side, device=images.device) + 1) / side - 1
        return scale[:, k, None] * steps.to(images) + center[:, k, None]

    rows, columns = places(height, 0), places(width, 1)
    grid = torch.stack(
        [columns[:, None].expand(n, height, width), rows[:, :, None].expand(n, height, width)],
        dim=-1,
    )
    return grid_sample(images, grid, "bilinear", "border", align_corners=False)


def _erase(images, random):
    """Replace a patch by the image's mean, with probability 1/2 per image."""
    height, width = images.shape[2:]

    def inside(side, k):
        length = torch.ceil(side * _ERASED * random[:, k])[:, None]
        first = torch.floor(random[:, k + 1, None] * (side - length + 1))
        places = torch.arange(side, device=images.device).to(images)
        return (places >= first) & (places < first + length)

    patch = inside(height, 1)[:, :, None] & inside(width, 3)[:, None, :]
    patch &= (random[:, 0] < 0.5)[:, None, None]
    return torch.where(patch[:, None], images.mean((2, 3), keepdim=True), images)
