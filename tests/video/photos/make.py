"""Makes the small photos of this folder from the two CC0 photos of scikit-image (Chelsea the cat by Stefan van der
Walt; a cup of coffee by Rachel Michetti), in the forms that cameras and browsers send.

    python make.py scikit_image-0.26.0-*.whl
"""
import io
import pathlib
import sys
import zipfile

import numpy as np
from PIL import Image

folder = pathlib.Path(__file__).parent
wheel = zipfile.ZipFile(sys.argv[1])
cat = Image.open(io.BytesIO(wheel.read("skimage/data/chelsea.png"))).convert("RGB").resize((96, 64), Image.LANCZOS)
cup = Image.open(io.BytesIO(wheel.read("skimage/data/coffee.png"))).convert("RGB").resize((96, 64), Image.LANCZOS)

# What every decoder must come to: rows of 8-bit RGB.
(folder / "cat.rgb").write_bytes(cat.tobytes())
cup.save(folder / "cup.jpg", quality=90)

cat.save(folder / "cat.png", optimize=True)
cat.convert("P", palette=Image.ADAPTIVE, colors=256).save(folder / "cat_palette.png")
cat.convert("L").save(folder / "cat_grey.png")
grey16 = np.asarray(cat.convert("L")).astype(np.uint16) * 257
Image.fromarray(grey16).save(folder / "cat_grey16.png")
alpha = cat.convert("RGBA")
alpha.putalpha(cat.convert("L"))
alpha.save(folder / "cat_alpha.png")

cat.save(folder / "cat_420.jpg", quality=92, subsampling=2)
cat.save(folder / "cat_444.jpg", quality=92, subsampling=0)
cat.save(folder / "cat_progressive.jpg", quality=92, progressive=True)
cat.save(folder / "cat_restart.jpg", quality=80, restart_marker_blocks=4)
cat.save(folder / "cat_progressive_restart.jpg", quality=80, progressive=True, restart_marker_rows=1)
cat.convert("L").save(folder / "cat_grey.jpg", quality=92)
exif = Image.Exif()
exif[0x0112] = 6  # "turn me clockwise"
cat.save(folder / "cat_exif.jpg", quality=92, exif=exif)
cat.crop((0, 0, 95, 63)).save(folder / "cat_odd.jpg", quality=95, subsampling=2)
cat.convert("CMYK").save(folder / "cat_cmyk.jpg", quality=92)

cat.save(folder / "cat_lossy.webp", quality=90)
cat.save(folder / "cat_lossless.webp", lossless=True)
alpha.save(folder / "cat_alpha.webp", quality=90)
cat.save(folder / "animated.webp", save_all=True, append_images=[cup], duration=100, quality=50)
