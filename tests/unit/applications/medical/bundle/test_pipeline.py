"""Bundles in process, by MONAI: what becomes of configs, networks and scans of many kinds."""

from __future__ import annotations

import copy
import gzip
import json
import warnings
from collections.abc import Mapping
from io import BytesIO
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from tests.unit.applications.medical.bundle.bundles import (
    AFFINE,
    CLASSIFICATION,
    CLASSIFIED,
    INVERTING,
    LABELS,
    LOADING,
    PICTURE_SEGMENTATION,
    PICTURES,
    ROI,
    SCALING,
    SEGMENTATION,
    SEGMENTED,
    UNET,
    classification_bundle,
    compose,
    metadata,
    network,
    picture,
    picture_bundle,
    picture_metadata,
    picture_segmentation_bundle,
    scan,
    segmentation_bundle,
    voxels,
    write_bundle,
)
from tests.unit.applications.medical.bundle.monai_run import run_by_monai, saved, saved_picture

from naiad import Request
from naiad.applications.medical import nifti
from naiad.applications.medical.bundle.kinds import PICTURE
from naiad.applications.medical.bundle.pipeline import bundle
from naiad.core.schema import fill_defaults, validate
from naiad.errors import InvalidInput, NaiadError, PipelineError, RepositoryError
from naiad.runtime.runner import Outcome, Runner

pytestmark = pytest.mark.slow

SHAPE = (30, 26, 18)


def runner(path: Path) -> Runner:
    return Runner(bundle(path)())


def request(of: Runner, *files: bytes, **more: Any) -> Request:
    schema = of.pipeline.inputs
    arrays = {"image": np.array([*files, None], object)[:-1], **more}
    sizes = validate(schema, arrays)
    return Request(fill_defaults(schema, arrays, sizes), sizes)


def ask(of: Runner, *files: bytes, **more: Any) -> dict[str, np.ndarray]:
    (outcome,) = of.run([request(of, *files, **more)]).outcomes
    if isinstance(outcome, NaiadError):
        raise outcome
    return outcome


def the_map(answer: Mapping[str, np.ndarray]) -> np.ndarray:
    assert len(answer["pred"]) == 1
    return nifti.read(answer["pred"][0]).stored


def changed(config: Mapping[str, Any], **parts: Any) -> dict[str, Any]:
    return {**copy.deepcopy(dict(config)), **parts}


@pytest.fixture(scope="module")
def segmenter(tmp_path_factory: pytest.TempPathFactory) -> Runner:
    return runner(segmentation_bundle(tmp_path_factory.mktemp("b") / "phantoms"))


@pytest.fixture(scope="module")
def classifier(tmp_path_factory: pytest.TempPathFactory) -> Runner:
    path = tmp_path_factory.mktemp("b") / "kinds"
    return runner(classification_bundle(path, torchscript=False))


@pytest.fixture(scope="module")
def picture_runner(tmp_path_factory: pytest.TempPathFactory) -> Runner:
    path = tmp_path_factory.mktemp("b") / "pictures"
    return runner(picture_segmentation_bundle(path, torchscript=False))


def test_labels_lie_where_the_balls_are(segmenter: Runner) -> None:
    truth = voxels(SHAPE, np.random.default_rng(1))[1]
    answer = ask(segmenter, scan())
    found = nifti.read(answer["pred"][0])
    np.testing.assert_allclose(found.affine, AFFINE, atol=1e-4)
    assert found.stored.dtype == np.uint8
    for label in (1, 2):
        common = ((found.stored == label) & (truth == label)).sum()
        dice = 2 * common / ((found.stored == label).sum() + (truth == label).sum())
        assert dice > 0.5  # the inner one is four voxels wide
    assert [name.decode() for name in answer["names"]] == [*LABELS.values()]
    voxel = abs(np.linalg.det(AFFINE[:3, :3])) / 1000
    counts = np.unique(found.stored, return_counts=True)[1]
    np.testing.assert_allclose(answer["volumes"], counts * voxel, rtol=1e-4)
    assert answer["volumes"].sum() == pytest.approx(np.prod(SHAPE) * voxel, rel=1e-4)


def test_label_maps_are_gzipped_unless_told_otherwise(segmenter: Runner) -> None:
    gzipped = ask(segmenter, scan())
    plain = ask(segmenter, scan(), compress=np.array([False]))
    assert gzipped["pred"][0][:2] == b"\x1f\x8b"
    assert len(plain["pred"][0]) == 352 + np.prod(SHAPE)
    np.testing.assert_array_equal(the_map(gzipped), the_map(plain))


def test_nothing_is_saved_on_the_server(segmenter: Runner) -> None:
    path = segmenter.pipeline.weights_path
    assert path is not None
    before = sorted(path.rglob("*"))
    ask(segmenter, scan())
    assert sorted(path.rglob("*")) == before
    assert not (path / "eval").exists()


def disagreeing() -> bytes:
    """Return the scan with a qform, and voxel sizes, that differ from its sform."""
    data = gzip.decompress(scan())
    header = nibabel.Nifti1Header(data[:348])
    header.set_qform(np.diag([2.0, 2.0, 2.0, 1.0]), code=1)
    header["pixdim"][1:4] = 2
    return header.binaryblock + data[348:]


def test_a_scan_of_two_geometries_is_segmented_as_by_monai(
    segmenter: Runner, tmp_path: Path
) -> None:
    (tmp_path / "scan.nii").write_bytes(disagreeing())
    path = segmenter.pipeline.weights_path
    assert path is not None
    run_by_monai(path, [tmp_path / "scan.nii"], tmp_path / "out")
    expected, affine = saved(tmp_path / "out", tmp_path / "scan.nii")
    answer = ask(segmenter, disagreeing())
    np.testing.assert_array_equal(the_map(answer), expected)
    assert len(np.unique(expected)) > 1
    voxel = abs(np.linalg.det(affine[:3, :3])) / 1000
    counts = np.unique(expected, return_counts=True)[1]
    np.testing.assert_allclose(answer["volumes"], counts * voxel, rtol=1e-4)
    assert [note.decode() for note in answer["notes"]] == [
        "voxels are of 1.503 x 1.75 x 2.502 mm by the sform and 2 x 2 x 2 by pixdim: the qform is "
        "used, as by MONAI"
    ]
    given, written = (
        nibabel.Nifti1Image.from_bytes(data)
        for data in (disagreeing(), gzip.decompress(answer["pred"][0]))
    )
    np.testing.assert_array_equal(written.affine, given.affine)  # nibabel's, of the sform
    np.testing.assert_array_equal(written.get_qform(), given.get_qform())


def test_parameters_yaml_and_one_file_are_as_the_folder(segmenter: Runner, tmp_path: Path) -> None:
    from monai.data.torchscript_utils import save_net_with_metadata

    parameters = segmentation_bundle(tmp_path / "b", torchscript=False, as_yaml=True)
    expected = the_map(ask(segmenter, scan()))
    np.testing.assert_array_equal(the_map(ask(runner(parameters), scan())), expected)

    root = segmenter.pipeline.weights_path
    assert root is not None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        save_net_with_metadata(
            torch.jit.script(network(UNET)),
            str(tmp_path / "phantoms.ts"),
            meta_values=json.loads((root / "configs" / "metadata.json").read_text()),
            more_extra_files={"inference.json": (root / "configs" / "inference.json").read_bytes()},
        )
    kind = bundle(tmp_path / "phantoms.ts")
    assert kind.name == "phantoms"
    np.testing.assert_array_equal(the_map(ask(Runner(kind()), scan())), expected)


def test_a_checkpoint_of_monais_trainer_is_loaded(segmenter: Runner, tmp_path: Path) -> None:
    path = segmentation_bundle(tmp_path / "b", torchscript=False)
    state = network(UNET).state_dict()
    torch.save({"model": state}, path / "models" / "model.pt")
    expected = the_map(ask(segmenter, scan()))
    np.testing.assert_array_equal(the_map(ask(runner(path), scan())), expected)


def test_a_map_that_is_not_inverted_is_brought_onto_the_scan(
    segmenter: Runner, tmp_path: Path
) -> None:
    softmax, argmax = (SEGMENTATION["postprocessing"]["transforms"][n] for n in (0, 2))
    config = changed(SEGMENTATION, postprocessing=compose(softmax, argmax))
    answer = ask(runner(write_bundle(tmp_path / "b", config, metadata(SEGMENTED))), scan())
    found = nifti.read(answer["pred"][0])
    assert found.shape == SHAPE
    np.testing.assert_allclose(found.affine, AFFINE, atol=1e-4)
    assert (found.stored == the_map(ask(segmenter, scan()))).mean() > 0.97


def test_a_network_of_slices_is_asked_about_volumes(tmp_path: Path) -> None:
    config = changed(
        SEGMENTATION,
        network_def={**UNET, "spatial_dims": 2},
        inferer={"_target_": "SliceInferer", "roi_size": [ROI, ROI], "spatial_dim": 2},
    )
    about = metadata(SEGMENTED, spatial_shape=[ROI, ROI])
    path = write_bundle(tmp_path / "b", config, about, torchscript=False)
    (tmp_path / "heart.nii.gz").write_bytes(scan())
    run_by_monai(path, [tmp_path / "heart.nii.gz"], tmp_path / "out")
    expected = saved(tmp_path / "out", tmp_path / "heart.nii.gz")[0]
    assert len(np.unique(expected)) > 1
    np.testing.assert_array_equal(the_map(ask(runner(path), scan())), expected)


def test_labels_that_may_overlap_are_a_map_each(segmenter: Runner, tmp_path: Path) -> None:
    softmax = SEGMENTATION["postprocessing"]["transforms"][0]
    threshold = {"_target_": "AsDiscreted", "keys": "pred", "threshold": 0.2}
    config = changed(SEGMENTATION, postprocessing=compose(softmax, INVERTING, threshold))
    answer = ask(runner(write_bundle(tmp_path / "b", config, metadata(SEGMENTED))), scan())
    maps = [nifti.read(one).stored for one in answer["pred"]]
    assert len(maps) == len(LABELS)
    assert answer["labels"].tolist() == [0, 1, 2]
    assert [name.decode() for name in answer["names"]] == [*LABELS.values()]
    best = the_map(ask(segmenter, scan()))
    for number, one in enumerate(maps):
        assert set(np.unique(one)) <= {0, 1}
        assert one[best == number].mean() > 0.99  # the best is above 0.2 nearly always
        voxel = abs(np.linalg.det(AFFINE[:3, :3])) / 1000
        assert answer["volumes"][number] == pytest.approx(one.sum() * voxel, rel=1e-4)


def test_labels_that_were_renumbered_have_no_wrong_name(tmp_path: Path) -> None:
    last = {"_target_": "Lambdad", "keys": "pred", "func": "$lambda x: 4.0 * (x > 0)"}
    softmax, _, argmax = SEGMENTATION["postprocessing"]["transforms"][:3]
    config = changed(SEGMENTATION, postprocessing=compose(softmax, INVERTING, argmax, last))
    answer = ask(runner(write_bundle(tmp_path / "b", config, metadata(SEGMENTED))), scan())
    assert answer["labels"].tolist() == [0, 4]
    assert answer["names"].tolist() == [b"background", b"label 4"]


def test_several_channels_are_read_in_order(tmp_path: Path) -> None:
    names = {"0": "before", "1": "after"}
    about = metadata(SEGMENTED, num_channels=2, channel_def=names)
    path = write_bundle(tmp_path / "b", SEGMENTATION, about)
    conv = torch.nn.Conv3d(2, 3, 1)
    with torch.no_grad():
        conv.weight.zero_()
        conv.bias.copy_(torch.tensor([0.6, 0.0, 0.0]))
        conv.weight[1, 0] = 1.0  # where the first channel is bright, label 1
        conv.weight[2, 1] = 1.0
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        torch.jit.script(conv).save(str(path / "models" / "model.ts"))
    of = runner(path)
    ball, nothing = scan(seed=1), scan(seed=0)
    first, second = ask(of, ball, nothing), ask(of, nothing, ball)
    assert first["labels"].tolist() == [0, 1]
    assert second["labels"].tolist() == [0, 2]
    with pytest.raises(InvalidInput, match="has 1 volumes; this bundle needs 2, in this order: b"):
        ask(of, ball)
    with pytest.raises(InvalidInput, match="has 3 files; this bundle needs 2, in this order: bef"):
        ask(of, ball, ball, ball)
    channels = np.stack([nifti.read(one).stored for one in (nothing, ball)], -1)
    together = ask(of, nibabel.Nifti1Image(channels, AFFINE).to_bytes())
    np.testing.assert_array_equal(the_map(together), the_map(second))
    with pytest.raises(InvalidInput, match=r"image\[1\] has \[8, 8, 8\] voxels and image\[0\]"):
        ask(of, ball, scan((8, 8, 8)))


def test_probabilities_are_those_of_the_network(classifier: Runner) -> None:
    answer = ask(classifier, scan())
    assert answer["probabilities"].sum() == pytest.approx(1, abs=1e-5)
    assert answer["label"].tolist() == [b"effusion"]  # the third of three kinds
    assert answer["pred"].tolist() == [0, 0, 1]
    assert ask(classifier, scan(seed=0))["label"].tolist() == [b"clear"]


def test_logits_become_probabilities_where_the_config_does_not_say_how(
    classifier: Runner, tmp_path: Path
) -> None:
    decides = CLASSIFICATION["postprocessing"]["transforms"][1]
    config = changed(CLASSIFICATION, postprocessing=compose(decides))
    path = write_bundle(tmp_path / "b", config, metadata(CLASSIFIED), torchscript=False)
    found, expected = ask(runner(path), scan()), ask(classifier, scan())
    np.testing.assert_allclose(found["probabilities"], expected["probabilities"], atol=1e-6)
    np.testing.assert_array_equal(found["pred"], expected["pred"])


def test_pictures_are_classified_as_monai_does(tmp_path: Path) -> None:
    path = picture_bundle(tmp_path / "b", torchscript=False)
    pixels = np.random.default_rng(0).integers(0, 255, (31, 40, 3)).astype(np.uint8)
    Image.fromarray(pixels).save(tmp_path / "tissue.png")
    decided = run_by_monai(path, [tmp_path / "tissue.png"], tmp_path / "out")
    of = runner(path)
    png = (tmp_path / "tissue.png").read_bytes()
    answer = ask(of, png)
    np.testing.assert_array_equal(answer["pred"], np.asarray(decided[0]).ravel())
    with torch.inference_mode():  # MONAI's reader has x first
        given = torch.from_numpy(pixels).permute(2, 1, 0).float()
        given = (given - given.min()) / (given.max() - given.min())
        given = torch.nn.functional.interpolate(given[None], (20, 16), mode="area")
        expected = network(PICTURES["network_def"])(given)[0].softmax(0)
    np.testing.assert_allclose(answer["probabilities"], expected, atol=1e-6)
    grey = BytesIO()
    Image.fromarray(pixels[..., 0]).save(grey, "JPEG")
    assert ask(of, grey.getvalue())["probabilities"].sum() == pytest.approx(1, abs=1e-5)
    with pytest.raises(InvalidInput, match=r"image\[0\] is a damaged PNG"):
        ask(of, png[:900])
    with pytest.raises(InvalidInput, match=r"image\[0\] is not a readable image"):
        ask(of, scan())


def picture_map(answer: Mapping[str, np.ndarray], number: int = 0) -> np.ndarray:
    return PICTURE.read_map(answer["pred"][number], "map")


def picture_segmenter(path: Path, *after: Mapping[str, Any], **parts: Any) -> Runner:
    """A bundle with other postprocessing."""
    config = changed(PICTURE_SEGMENTATION, postprocessing=compose(*after), **parts)
    return runner(write_bundle(path, config, picture_metadata(SEGMENTED), torchscript=False))


SOFTMAX, INVERTED, ARGMAX, SAVED = PICTURE_SEGMENTATION["postprocessing"]["transforms"]


@pytest.mark.parametrize("torchscript", [True, False])
def test_label_maps_of_pictures_equal_those_that_monai_saves(
    tmp_path: Path, torchscript: bool
) -> None:
    path = picture_segmentation_bundle(tmp_path / "b", torchscript=torchscript)
    (tmp_path / "frame.png").write_bytes(picture((41, 31)))
    run_by_monai(path, [tmp_path / "frame.png"], tmp_path / "out")
    answer = ask(runner(path), picture((41, 31)))
    found = picture_map(answer)
    assert (found.shape, found.dtype) == ((31, 41), np.uint8)
    np.testing.assert_array_equal(found, saved_picture(tmp_path / "out", tmp_path / "frame.png"))
    labels, counts = np.unique(found, return_counts=True)
    assert labels.tolist() == [0, 1, 2]
    assert answer["labels"].tolist() == [0, 1, 2]
    assert [name.decode() for name in answer["names"]] == [*LABELS.values()]
    assert answer["areas"].dtype == np.int64
    np.testing.assert_array_equal(answer["areas"], counts)


def test_a_map_that_is_not_inverted_is_brought_onto_the_picture(tmp_path: Path) -> None:
    of = picture_segmenter(tmp_path / "b", SOFTMAX, ARGMAX, SAVED)
    (tmp_path / "frame.png").write_bytes(picture((41, 31)))
    path = of.pipeline.weights_path
    assert path is not None
    run_by_monai(path, [tmp_path / "frame.png"], tmp_path / "out")
    small = saved_picture(tmp_path / "out", tmp_path / "frame.png")
    assert small.shape == (16, 20)  # as large as the network sees it
    rows, columns = (
        ((np.arange(n) + 0.5) * of_map / n).astype(int)
        for n, of_map in zip((31, 41), small.shape, strict=True)
    )
    found = picture_map(ask(of, picture((41, 31))))
    np.testing.assert_array_equal(found, small[np.ix_(rows, columns)])


def test_a_reader_that_has_y_first_gives_the_same_map(tmp_path: Path) -> None:
    brightest = torch.nn.Conv2d(3, 3, 1)  # of the three colours
    with torch.no_grad():
        brightest.weight.copy_(torch.eye(3)[:, :, None, None])
    maps: list[np.ndarray] = []
    for x_first in (True, False):
        load = {**LOADING[0], "reader": "PILReader", "reverse_indexing": x_first}
        config = changed(
            PICTURE_SEGMENTATION,
            preprocessing=compose(load, LOADING[1]),
            postprocessing=compose(ARGMAX),
        )
        path = tmp_path / f"b{x_first}"
        write_bundle(path, config, picture_metadata(SEGMENTED))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            torch.jit.script(brightest).save(str(path / "models" / "model.ts"))
        maps.append(picture_map(ask(runner(path), picture((41, 31)))))
    assert len(np.unique(maps[0])) == 3
    np.testing.assert_array_equal(maps[0], maps[1])


def test_labels_of_a_picture_that_may_overlap_are_a_map_each(tmp_path: Path) -> None:
    threshold = {"_target_": "AsDiscreted", "keys": "pred", "threshold": 0.3}
    answer = ask(picture_segmenter(tmp_path / "b", SOFTMAX, INVERTED, threshold), picture())
    assert [name.decode() for name in answer["names"]] == [*LABELS.values()]
    areas = [np.count_nonzero(picture_map(answer, number)) for number in range(len(LABELS))]
    assert answer["areas"].tolist() == areas
    assert sum(areas) > 41 * 31


@pytest.mark.parametrize(
    ("factor", "dtype"), [("100.0", np.uint8), ("300.0", np.uint16), ("32767.5", np.uint16)]
)
def test_labels_above_255_have_16_bits(tmp_path: Path, factor: str, dtype: type) -> None:
    times = {"_target_": "Lambdad", "keys": "pred", "func": f"$lambda x: (x * {factor}).round()"}
    answer = ask(picture_segmenter(tmp_path / "b", SOFTMAX, INVERTED, ARGMAX, times), picture())
    found = picture_map(answer)
    assert found.dtype == dtype
    assert np.unique(found).tolist() == answer["labels"].tolist()
    assert answer["labels"][-1] == round(2 * float(factor))


@pytest.mark.parametrize(
    ("function", "message"),
    [("x * 40000.0", "from 0 to 80000; PNG has 0 to 65,535"), ("x - 1.0", "labels from -1 to 1")],
)
def test_labels_that_png_has_not_are_refused(tmp_path: Path, function: str, message: str) -> None:
    other = {"_target_": "Lambdad", "keys": "pred", "func": f"$lambda x: {function}"}
    of = picture_segmenter(tmp_path / "b", SOFTMAX, INVERTED, ARGMAX, other)
    with pytest.raises(PipelineError, match=message):
        ask(of, picture())


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "is empty; it must be a JPEG, PNG, WebP, TIFF, AVIF or HEIC"),
        (scan(), "is not a readable image"),
        (picture()[:900], "is a damaged PNG"),
    ],
)
def test_a_bad_picture_is_refused_and_the_next_is_answered(
    picture_runner: Runner, data: bytes, message: str
) -> None:
    with pytest.raises(InvalidInput, match=rf"image\[0\] {message}"):
        ask(picture_runner, data)
    assert picture_map(ask(picture_runner, picture((9, 14)))).shape == (14, 9)


def test_jpeg_and_grey_pictures_are_segmented_too(picture_runner: Runner) -> None:
    with Image.open(BytesIO(picture())) as opened:
        for picture_format, mode in (("JPEG", "RGB"), ("PNG", "L"), ("PNG", "RGBA")):
            file = BytesIO()
            opened.convert(mode).save(file, picture_format)
            answer = ask(picture_runner, file.getvalue())
            assert answer["areas"].sum() == 41 * 31


SCANS = [scan((14 + n, 20, 12 + 2 * n), seed=n) for n in range(4)]


@settings(max_examples=6, deadline=None)
@given(
    order=st.lists(st.integers(0, len(SCANS) - 1), min_size=1, max_size=6),
    bad=st.integers(0, 6),
)
def test_answers_do_not_depend_on_what_was_merged(
    classifier: Runner, order: list[int], bad: int
) -> None:
    files = [SCANS[n] for n in order]
    files.insert(bad, b"dear Lena")
    report = classifier.run([request(classifier, file) for file in files])
    outcomes: list[Outcome] = report.outcomes
    refused = outcomes.pop(min(bad, len(order)))
    assert isinstance(refused, InvalidInput)
    assert sum(batch["requests"] for batch in report.batches) == len(order)
    for number, outcome in zip(order, outcomes, strict=True):
        assert isinstance(outcome, dict)
        alone = ask(classifier, SCANS[number])
        np.testing.assert_allclose(
            outcome["probabilities"], alone["probabilities"], rtol=0, atol=1e-5
        )
        assert outcome["label"].tolist() == alone["label"].tolist()


def test_a_decision_that_is_no_label_is_refused(tmp_path: Path) -> None:
    softmax = SEGMENTATION["postprocessing"]["transforms"][0]
    config = changed(SEGMENTATION, postprocessing=compose(softmax, INVERTING))
    of = runner(write_bundle(tmp_path / "b", config, metadata(SEGMENTED)))
    with pytest.raises(PipelineError, match=r"leaves 0\.\d+ in its label map; it must end with"):
        ask(of, scan())


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        ({"preprocessing": compose(SCALING)}, "preprocessing has no LoadImaged"),
        (
            {"preprocessing": compose({"_target_": "Nonsense"})},
            "preprocessing cannot be created: .*N",
        ),
        (
            {"inferer": {"_target_": "SlidingWindowInferer"}},
            "inferer cannot be created: .*roi_size",
        ),
        ({"inferer": "$1 / 0"}, "inferer cannot be created: .*ZeroDivisionError"),
        ({"postprocessing": "@nowhere"}, "postprocessing cannot be created: .*nowhere"),
        (
            {"network_def": {"_target_": "Identityd", "keys": "image"}},
            "network_def creates a Ident",
        ),
    ],
)
def test_a_wrong_config_is_named_by_file_and_field(
    tmp_path: Path, parts: dict[str, Any], message: str
) -> None:
    path = segmentation_bundle(tmp_path / "b", torchscript=False)
    config = path / "configs" / "inference.json"
    config.write_text(json.dumps({**json.loads(config.read_text()), **parts}))
    with pytest.raises(RepositoryError, match=rf"^configs/inference\.json: {message}"):
        runner(path)


def test_parameters_of_another_network_are_refused(tmp_path: Path) -> None:
    path = segmentation_bundle(tmp_path / "b", torchscript=False)
    torch.save({"weight": torch.zeros(3)}, path / "models" / "model.pt")
    with pytest.raises(
        RepositoryError, match=r"^models/model\.pt: not the parameters of network_def in"
    ):
        runner(path)


def test_parameters_are_never_unpickled(tmp_path: Path) -> None:
    path = segmentation_bundle(tmp_path / "b", torchscript=False)
    torch.save({"model": Path("/etc/passwd")}, path / "models" / "model.pt")
    with pytest.raises(
        RepositoryError, match=r"^models/model\.pt: not the param.*Weights only load"
    ):
        runner(path)


def test_a_transform_that_fails_is_named_with_the_reason(tmp_path: Path) -> None:
    bad = {"_target_": "Lambdad", "keys": "image", "func": "$lambda x: x.no_such_thing"}
    config = changed(SEGMENTATION, preprocessing=compose(*LOADING, bad))
    of = runner(write_bundle(tmp_path / "b", config, metadata(SEGMENTED)))
    with pytest.raises(PipelineError, match=r"the bundle's preprocessing failed: .*no_such_thing"):
        ask(of, scan())


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "is empty"),
        (b"dear Lena", "is no NIfTI file"),
        (scan()[:500], "is a truncated gzip file"),
    ],
)
def test_a_bad_scan_is_refused_with_the_reason(
    segmenter: Runner, data: bytes, message: str
) -> None:
    with pytest.raises(InvalidInput, match=rf"image\[0\] {message}"):
        ask(segmenter, data)
