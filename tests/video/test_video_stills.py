"""Images as Pillow, OpenCV and browsers show them: one by one, as animations, and as the frames of a folder."""

from __future__ import annotations

import base64
import io
import struct
import zlib

import numpy as np
import pytest
from making import shapes
from PIL import Image, ImageOps, features

from pytest_vdb import video
from pytest_vdb.errors import ClipFileError

ORIENTATION = 0x0112


def picture(height: int = 48, width: int = 64) -> np.ndarray:
    """Colours in every pixel, so that a colour that is repeated is seen."""
    return np.random.default_rng(0).integers(0, 256, (height // 4, width // 4, 3), np.uint8).repeat(4, 0).repeat(4, 1)


def frames_of(path) -> np.ndarray:
    return video.read(path).frames


# One picture --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("subsampling", [0, 1, 2])
def test_a_jpegs_colours_are_those_of_pillow_and_opencv(tmp_path, subsampling):
    cv2 = pytest.importorskip("cv2")
    path = tmp_path / "clip" / "0.jpg"
    path.parent.mkdir()
    Image.fromarray(picture()).save(path, quality=95, subsampling=subsampling)
    for read in (frames_of(path)[0], frames_of(path.parent)[0]):
        np.testing.assert_array_equal(read, np.asarray(Image.open(path).convert("RGB")))
        assert np.abs(read.astype(int) - cv2.imread(str(path))[..., ::-1]).max() <= 1


@pytest.mark.parametrize("suffix", ["jpg", "png", "webp", "tif"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_photo_is_read_as_its_exif_says_that_it_is_seen(tmp_path, orientation, suffix):
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    path = tmp_path / f"0.{suffix}"
    Image.fromarray(picture(48, 80)).save(path, exif=exif)
    with Image.open(path) as image:
        seen = np.asarray(ImageOps.exif_transpose(image).convert("RGB"))
    assert seen.shape[:2] == ((80, 48) if orientation > 4 else (48, 80))
    np.testing.assert_array_equal(frames_of(path)[0], seen)
    np.testing.assert_array_equal(frames_of(tmp_path)[0], seen)


@pytest.mark.filterwarnings("ignore:Corrupt EXIF")
def test_exif_that_is_none_turns_nothing(tmp_path):
    Image.fromarray(picture()).save(tmp_path / "0.jpg", exif=b"Exif\0\0II*\0\xff\xff\xff\xff nothing")
    assert frames_of(tmp_path / "0.jpg").shape == (1, 48, 64, 3)


def test_sixteen_bits_grey_palettes_alpha_and_cmyk_keep_their_colours(tmp_path):
    colours = picture()
    grey = np.asarray(Image.fromarray(colours).convert("L"))
    deep = grey.astype(np.uint16) * 256 + 200
    Image.fromarray(deep).save(tmp_path / "deep.png")
    Image.fromarray(deep).save(tmp_path / "deep.tif")
    Image.fromarray(grey).save(tmp_path / "grey.png")
    Image.fromarray(grey > 127).save(tmp_path / "bits.png")
    Image.fromarray(colours).save(tmp_path / "rgb.bmp")
    Image.fromarray(colours).save(tmp_path / "rgb.jp2", irreversible=False)
    Image.fromarray(np.dstack([colours, grey])).save(tmp_path / "alpha.png")
    for name in ("deep.png", "deep.tif", "grey.png"):
        np.testing.assert_array_equal(frames_of(tmp_path / name)[0], np.dstack([grey] * 3))
    np.testing.assert_array_equal(frames_of(tmp_path / "bits.png")[0, ..., 0], np.where(grey > 127, 255, 0))
    for name in ("rgb.bmp", "rgb.jp2", "alpha.png"):
        np.testing.assert_array_equal(frames_of(tmp_path / name)[0], colours)
    few = Image.fromarray(colours).quantize(16)
    few.save(tmp_path / "palette.png")
    few.save(tmp_path / "clear.png", transparency=bytes([0, 128]))
    np.testing.assert_array_equal(frames_of(tmp_path / "palette.png")[0], np.asarray(few.convert("RGB")))
    np.testing.assert_array_equal(frames_of(tmp_path / "clear.png")[0], np.asarray(few.convert("RGB")))
    Image.fromarray(colours).convert("CMYK").save(tmp_path / "cmyk.jpg", quality=95)
    np.testing.assert_array_equal(
        frames_of(tmp_path / "cmyk.jpg")[0], np.asarray(Image.open(tmp_path / "cmyk.jpg").convert("RGB"))
    )


def test_sixteen_bits_a_colour_become_the_upper_eight_as_in_opencv(tmp_path):
    cv2 = pytest.importorskip("cv2")
    deep = np.random.default_rng(0).integers(0, 65536, (20, 24, 3), np.uint16)
    for suffix in ("png", "tif"):
        cv2.imwrite(str(tmp_path / f"0.{suffix}"), deep)
        np.testing.assert_array_equal(frames_of(tmp_path / f"0.{suffix}")[0], (deep >> 8)[..., ::-1])


@pytest.mark.parametrize("kind", [np.int32, np.float32])
def test_values_of_which_nobody_knows_what_is_white_are_refused(tmp_path, kind):
    Image.fromarray(np.ones((4, 4), kind)).save(tmp_path / "0.tif")
    with pytest.raises(ClipFileError, match="32 bits: nothing says which is white"):
        video.read(tmp_path / "0.tif")


def test_a_png_that_names_pq_is_no_sdr_picture(tmp_path):
    written = io.BytesIO()
    Image.fromarray(picture()).save(written, "PNG")
    for transfer, name in ((16, "PQ"), (18, "HLG"), (1, None)):
        body = b"cICP" + bytes([9, transfer, 0, 1])
        chunk = struct.pack(">I", 4) + body + struct.pack(">I", zlib.crc32(body))
        (tmp_path / "0.png").write_bytes(written.getvalue()[:33] + chunk + written.getvalue()[33:])
        if name is None:
            assert len(frames_of(tmp_path / "0.png")) == 1
        else:
            with pytest.raises(ClipFileError, match=f"HDR, {name}"):
                video.read(tmp_path / "0.png")


needs_avif = pytest.mark.skipif(not features.check("avif"), reason="this Pillow reads no AVIF")


@needs_avif
def test_an_avif_is_a_picture_as_pillow_reads_it(tmp_path):
    for number in range(2):
        Image.fromarray(picture()).save(tmp_path / f"{number}.avif", quality=90)
    clip = frames_of(tmp_path)
    np.testing.assert_array_equal(clip[0], np.asarray(Image.open(tmp_path / "0.avif").convert("RGB")))
    assert len(clip) == 2
    data = (tmp_path / "0.avif").read_bytes()
    at = data.index(b"colrnclx") + 10
    (tmp_path / "0.avif").write_bytes(data[:at] + b"\0\x10" + data[at + 2 :])
    with pytest.raises(ClipFileError, match="HDR, PQ"):
        video.read(tmp_path / "0.avif")


PHOTO_IN_TILES = (
    "c-muNU{FXasVqn=%S>Yc0uY^>nP!-qnV9D5Xz0kmz*wJ~T9U{B0U8-8IYm%5LqTS82?G+y$xMP7!&i`5k_#4O1Y)bqocv@E$Ay7`87u<CjLU&E"
    "2Llt7w;o8V0A(S(%U~V@Lri979@s#zj1-WQ$^<nvy(lxqIX@>K>>QX3BgnkOG6O>_GR$Z)GMPoGX;7yNq-5r%gLN~3ZR*Y}C@KKb@tFn5`9NAE"
    "v$!A?s<r`$9YA^tGAlB{PUGO<08+xq`8h>-$vG83b9fop8ql;kKrv5ZnW1x|0$5BXvmh51w7`I2W@KV!U}9lmYGr0%hENO)5xFUeC15W%FgOS?"
    "aB*6Q*8go`F_CgG5|wt4DLl@?u;q5Ox7O-&wF2(`F=i6D)Ksni(Qz>|#Gv0{);9pbKwIP"
)


def test_a_photo_in_tiles_is_never_one_of_its_tiles(tmp_path):
    (tmp_path / "a.heic").write_bytes(
        zlib.decompress(base64.b85decode(PHOTO_IN_TILES)).replace(b"ftypavif", b"ftypmif1")
    )
    with pytest.raises(ClipFileError, match=r"a picture in 2 tiles \(HEIC\), which is not read"):
        video.read(tmp_path / "a.heic")


def test_a_phones_jpeg_of_several_pictures_is_one_picture(tmp_path):
    photo, depth = Image.fromarray(picture()), Image.fromarray(picture()[:24, :32])
    photo.save(tmp_path / "0.jpg", "MPO", save_all=True, append_images=[depth])
    assert frames_of(tmp_path / "0.jpg").shape == (1, 48, 64, 3)
    assert not video.is_animated(tmp_path / "0.jpg")


def test_a_tiffs_smaller_copies_are_no_frames(tmp_path):
    pages = [Image.fromarray(picture()), Image.fromarray(picture()[::-1].copy())]
    pages[0].save(tmp_path / "stack.tif", save_all=True, append_images=pages[1:])
    assert frames_of(tmp_path / "stack.tif").shape == (2, 48, 64, 3)
    small = pages[0].resize((16, 12))
    small.encoderinfo = {"tiffinfo": {254: 1}}
    pages[0].save(tmp_path / "thumbnail.tif", save_all=True, append_images=[small])
    assert frames_of(tmp_path / "thumbnail.tif").shape == (1, 48, 64, 3)


# Animations ---------------------------------------------------------------------------------------------------------


def animation(path, delays, **more):
    images = [Image.fromarray(frame) for frame in shapes(len(delays), 32, 48)]
    images[0].save(path, save_all=True, append_images=images[1:], duration=delays, loop=0, **more)
    return path


@pytest.mark.parametrize("name", ["a.png", "a.apng", "a.webp"])
def test_an_animated_image_is_a_clip_with_its_rate(tmp_path, name):
    more = {"lossless": True} if name == "a.webp" else {}
    clip = video.read(animation(tmp_path / name, [40] * 6, **more))
    assert clip.fps == 25.0
    np.testing.assert_array_equal(clip.frames, shapes(6, 32, 48))


@pytest.mark.parametrize("name", ["a.png", "a.webp", "a.gif"])
def test_a_delay_that_nobody_meant_is_what_browsers_make_of_it(tmp_path, name):
    assert video.read(animation(tmp_path / name, [0] * 4)).fps == 10.0
    assert video.read(animation(tmp_path / name, [10] * 4)).fps == 10.0
    assert video.read(animation(tmp_path / name, [20] * 4)).fps == 50.0


@pytest.mark.parametrize("name", ["a.png", "a.webp", "a.gif"])
def test_unequal_delays_are_said_and_the_clip_lasts_as_long(tmp_path, name):
    decoded = video.decode(animation(tmp_path / name, [50, 500, 50, 200]))
    assert decoded.clip.seconds == pytest.approx(0.8)
    assert decoded.notes == ("its frames are shown for 50 to 500 ms: read as 4 frames at their mean rate, 5 a second",)


def test_the_still_that_stands_for_an_apng_is_no_frame(tmp_path):
    images = [Image.fromarray(frame) for frame in shapes(3, 32, 48)]
    still = Image.new("RGB", (48, 32), "red")
    still.save(tmp_path / "a.png", save_all=True, append_images=images, default_image=True, duration=100)
    np.testing.assert_array_equal(frames_of(tmp_path / "a.png"), shapes(3, 32, 48))


@pytest.mark.parametrize("name", ["a.png", "a.webp", "still.png", "still.jpg", "still.webp", "still.tif"])
def test_a_torn_image_is_refused(tmp_path, name):
    path = tmp_path / name
    if name.startswith("a."):
        animation(path, [40] * 6)
    else:
        Image.fromarray(picture()).save(path)
    data = path.read_bytes()
    for part in (0.3, 0.6, 0.9):
        path.write_bytes(data[: int(len(data) * part)])
        with pytest.raises(ClipFileError, match=r"cannot be decoded|frames could be decoded"):  # Pillow's, or PyAV 19's
            video.read(path)


# Folders ------------------------------------------------------------------------------------------------------------


def test_an_animation_is_no_frame_of_its_folders(tmp_path):
    animation(tmp_path / "a.png", [40] * 3)
    with pytest.raises(ClipFileError, match=r"a\.png: it is animated"):
        video.read(tmp_path)


def test_what_a_system_leaves_among_frames_is_left_out_and_said(tmp_path):
    for number in range(3):
        Image.fromarray(picture()).save(tmp_path / f"{number}.png")
        (tmp_path / f"._{number}.png").write_bytes(b"\0\5\x16\7 Mac OS X")
    (tmp_path / "Thumbs.db").write_bytes(b"\xd0\xcf")
    decoded = video.decode(tmp_path)
    assert len(decoded.clip.frames) == 3
    assert decoded.notes == ("left out, as systems leave them: ._0.png, ._1.png, ._2.png and 1 more",)


def test_a_video_that_is_called_an_image_is_read_as_what_it_is(tmp_path):
    video.write_lossless(video.read(animation(tmp_path / "a.png", [40] * 3)), tmp_path / "b.mkv")
    (tmp_path / "b.mkv").rename(tmp_path / "b.png")
    assert len(frames_of(tmp_path / "b.png")) == 3
    Image.fromarray(picture()).save(tmp_path / "c.mp4", "JPEG")
    np.testing.assert_array_equal(frames_of(tmp_path / "c.mp4")[0], np.asarray(Image.open(tmp_path / "c.mp4")))
