"""Writes what the reference EfficientNet-Lite0 says of five photos, from the bundle's weights, in fp32:

  photos/<name>.ppm        the photo, made small: the same bytes go into both sides
  efficientnet_logits.f32  [5 photos in order of name, 1000 classes]
  efficientnet_resize.f32  a 610x485 pattern, resized, cut and normalised: every 16th row and column

Photos come from scikit-image: chelsea and coffee (CC0), rocket (NASA, public domain), motorcycle_left
(Middlebury stereo data set, CC0), astronaut (NASA, public domain).
Usage: efficientnet.py BUNDLE. Needs torch, torchvision, efficientnet-lite-pytorch, scikit-image and pillow.
"""

import pathlib
import sys

import numpy as np
import skimage
import torch
from efficientnet_lite_pytorch import EfficientNet
from PIL import Image
from safetensors.torch import load_file
from torchvision.transforms import v2

FOLDER = pathlib.Path(__file__).parent
DATA = pathlib.Path(skimage.__file__).parent / "data"
PHOTOS = ["astronaut.png", "chelsea.png", "coffee.png", "motorcycle_left.png", "rocket.jpg"]
torch.set_num_threads(1)

model = EfficientNet.from_name("efficientnet-lite0")
model.load_state_dict(load_file(pathlib.Path(sys.argv[1]) / "vision_encoder/model.safetensors"), strict=False)
model.eval()
resize = v2.Compose([v2.Resize(224, antialias=True), v2.CenterCrop(224)])
normalize = v2.Normalize([0.485, 0.456, 0.406], [0.229, 0.224, 0.225])


def pixels(image):
    """In floats throughout: no rounding between the two directions."""
    tensor = torch.from_numpy(np.array(image)).permute(2, 0, 1).float()
    return normalize(resize(tensor[None]) / 255)


(FOLDER / "photos").mkdir(exist_ok=True)
with torch.no_grad():
    logits = []
    for name in PHOTOS:
        image = Image.open(DATA / name).convert("RGB")
        image = image.resize((image.width * 120 // image.height, 120), Image.LANCZOS)
        image.save(FOLDER / "photos" / (pathlib.Path(name).stem + ".ppm"))
        logits.append(model(pixels(image))[0])
    torch.stack(logits).numpy().astype("<f4").tofile(FOLDER / "efficientnet_logits.f32")

    # Larger than 224 on both sides, so that the filter widens.
    y, x = np.mgrid[0:485, 0:610]
    pattern = np.stack([(x * 7 + y * 3) % 251, (x * x + y) % 241, (x * 5 ^ y * 11) % 256], axis=-1).astype(np.uint8)
    pixels(pattern)[0, :, ::16, ::16].numpy().astype("<f4").tofile(FOLDER / "efficientnet_resize.f32")
