"""Scenes: the truth agrees with itself and with the picture, and is the same every time."""

import numpy as np
import pytest

from rdk_yolo_ros.scenes import CLASS_NAMES, KEYPOINT_NAMES, SceneVideo, render_scene

SEEDS = range(500, 512)
SIZES = ((640, 640), (640, 480), (321, 243), (97, 160))


def check_truth(scene, width, height):
    """Assert what must hold for every scene."""
    assert scene.image.shape == (height, width, 3)
    assert scene.image.dtype == np.uint8
    taken = np.zeros((height, width), int)
    for instance in scene.instances:
        assert 0 <= instance.class_id < len(CLASS_NAMES)
        mask = instance.full_mask(height, width)
        taken += mask
        ys, xs = np.nonzero(mask)
        # The box is the mask's: a pixel covers [i, i + 1).
        assert instance.box.dtype == np.float32
        assert instance.box.tolist() == [xs.min(), ys.min(), xs.max() + 1, ys.max() + 1]
        assert (instance.keypoints is not None) == (CLASS_NAMES[instance.class_id] == 'person')
        if instance.keypoints is not None:
            check_keypoints(instance.keypoints, mask)
    # A pixel shows one instance at most.
    assert taken.max(initial=0) <= 1


def check_keypoints(keypoints, mask):
    """Assert COCO's rules: 2 is on the person's visible pixels, 0 has no position."""
    height, width = mask.shape
    assert keypoints.shape == (len(KEYPOINT_NAMES), 3)
    assert keypoints.dtype == np.float32
    assert set(np.unique(keypoints[:, 2])) <= {0, 1, 2}
    for x, y, visibility in keypoints:
        if visibility == 0:
            assert (x, y) == (0, 0)
        else:
            assert 0 <= x < width
            assert 0 <= y < height
        if visibility == 2:
            assert mask[int(y), int(x)]


@pytest.mark.parametrize(('width', 'height'), SIZES)
def test_truth_is_consistent_at_any_size(width, height):
    for seed in SEEDS:
        check_truth(render_scene(seed, width, height), width, height)


def test_same_seed_gives_the_same_scene():
    first, second = render_scene(3), render_scene(3)
    assert np.array_equal(first.image, second.image)
    assert len(first.instances) == len(second.instances)
    for a, b in zip(first.instances, second.instances):
        assert np.array_equal(a.box, b.box)
        assert np.array_equal(a.mask, b.mask)


def test_different_seeds_give_different_scenes():
    assert not np.array_equal(render_scene(3).image, render_scene(4).image)


def test_scenes_are_varied():
    scenes = [render_scene(seed, 320, 320) for seed in range(600, 660)]
    counts = np.zeros(len(CLASS_NAMES), int)
    visibilities = np.zeros(3, int)
    raised = people = 0
    for scene in scenes:
        for instance in scene.instances:
            counts[instance.class_id] += 1
            if instance.keypoints is None:
                continue
            people += 1
            visibilities += np.bincount(instance.keypoints[:, 2].astype(int), minlength=3)
            wrists, shoulders = instance.keypoints[[9, 10]], instance.keypoints[[5, 6]]
            both = (wrists[:, 2] > 0) & (shoulders[:, 2] > 0)
            raised += bool((both & (wrists[:, 1] < shoulders[:, 1])).any())
    assert counts.min() >= 10
    assert (visibilities > 0).all()
    assert raised >= 0.2 * people
    means = [scene.image.mean() for scene in scenes]
    assert np.ptp(means) > 60


def test_a_person_faces_the_camera_with_the_left_side_to_the_right():
    from rdk_yolo_ros.scenes.pose import Pose, skeleton
    points = skeleton(Pose())
    left = [i for i, name in enumerate(KEYPOINT_NAMES) if name.startswith('left')]
    assert (points[left, 0] > 0).all()
    away = skeleton(Pose(yaw=180.))
    assert (away[left, 0] < 0).all()
    # Feet below knees below hips, nose above shoulders; y points down.
    heights = points[[0, 5, 11, 13, 15], 1]
    assert (np.diff(heights) > 0).all()


@pytest.mark.parametrize('turn', [-70., 0., 40.])
def test_bones_keep_their_length_whatever_the_pose(turn):
    from rdk_yolo_ros.scenes.pose import FOREARM, UPPER_ARM, Pose, skeleton
    pose = Pose(yaw=turn, roll=20., lean=30., arms=((120., 30., 200., 10.),) * 2)
    points = skeleton(pose)
    assert np.linalg.norm(points[7] - points[5]) == pytest.approx(UPPER_ARM)
    assert np.linalg.norm(points[10] - points[8]) == pytest.approx(FOREARM)


def test_video_frames_can_be_asked_for_in_any_order():
    video = SceneVideo(5, 320, 240)
    forwards = [video.frame(i).image for i in (0, 7, 19)]
    other = SceneVideo(5, 320, 240)
    for index, expected in zip((19, 7, 0), reversed(forwards)):
        assert np.array_equal(other.frame(index).image, expected)


def test_video_truth_is_consistent():
    video = SceneVideo(2, 320, 240)
    for index in (0, 31, 10_000):
        check_truth(video.frame(index), 320, 240)


def test_video_moves_smoothly():
    video = SceneVideo(1, 320, 240)
    frames = [video.frame(i) for i in range(6)]
    for before, after in zip(frames, frames[1:]):
        assert not np.array_equal(before.image, after.image)
        if len(before.instances) != len(after.instances):
            continue
        for a, b in zip(before.instances, after.instances):
            if a.keypoints is not None:
                both = (a.keypoints[:, 2] > 0) & (b.keypoints[:, 2] > 0)
                step = np.abs(a.keypoints[both, :2] - b.keypoints[both, :2])
                # A tenth of the image's height in a thirtieth of a second would be a jump.
                assert step.max(initial=0) < 24
