"""Images changed at random: shifted, mirrored, zoomed into, partly erased.

One affine map an image, sampled with bilinear interpolation; what comes from outside is the
nearest pixel of the edge. A shift by whole pixels and a mirror image are exact.
"""

import torch
from torch.nn.functional import grid_sample

# Of the side: a shift goes that far, a crop takes as little as this, a patch that is erased is
# at most so wide (Zhong et al. 2020, "Random erasing data augmentation").
_SHIFT, _CROP, _ERASED = 1 / 8, 0.75, 1 / 2
_N_NUMBERS = 11


def draw_changes(random, n_rows):
    """Return numbers from 0 to 1 of shape (n_rows, 11), by the stream of a FeedRandom.

    As many whatever the kinds, so that these do not shift what an image draws.
    """
    return torch.from_numpy(random.augmentation(n_rows, _N_NUMBERS))


def change_images(augmentation, rows, random):
    """Return images as the network sees them this time.

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
    # bfloat16 has neither coordinates of pixels nor a kernel.
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
    """Return scales and centres of rows and columns, in coordinates from -1 to 1."""
    n = len(random)
    scale = random.new_ones(n, 2)
    centre = random.new_zeros(n, 2)
    if "crop" in kinds:
        side = _CROP + (1 - _CROP) * random[:, 0]
        scale = scale * side[:, None]
        # Anywhere within the image.
        centre = (2 * random[:, 1:3] - 1) * (1 - side)[:, None]
    if "shift" in kinds:
        sides = random.new_tensor([height, width])
        most = torch.floor(sides * _SHIFT)
        pixels = torch.floor(random[:, 3:5] * (2 * most + 1)) - most
        centre = centre + 2 * pixels / sides
    if "flip" in kinds:
        mirror = torch.where(random[:, 5] < 0.5, -1.0, 1.0)
        scale = torch.stack([scale[:, 0], scale[:, 1] * mirror], dim=1)
    return scale, centre


def _sample(images, scale, centre):
    n, _, height, width = images.shape

    def places(side, k):
        # Middles of pixels.
        steps = (2 * torch.arange(side, device=images.device) + 1) / side - 1
        return scale[:, k, None] * steps.to(images) + centre[:, k, None]

    rows, columns = places(height, 0), places(width, 1)
    grid = torch.stack(
        [columns[:, None].expand(n, height, width), rows[:, :, None].expand(n, height, width)],
        dim=-1,
    )
    return grid_sample(images, grid, "bilinear", "border", align_corners=False)


def _erase(images, random):
    """Replace a patch of every second image by its mean."""
    height, width = images.shape[2:]

    def inside(side, k):
        length = torch.ceil(side * _ERASED * random[:, k])[:, None]
        first = torch.floor(random[:, k + 1, None] * (side - length + 1))
        places = torch.arange(side, device=images.device).to(images)
        return (places >= first) & (places < first + length)

    patch = inside(height, 1)[:, :, None] & inside(width, 3)[:, None, :]
    patch &= (random[:, 0] < 0.5)[:, None, None]
    return torch.where(patch[:, None], images.mean((2, 3), keepdim=True), images)
