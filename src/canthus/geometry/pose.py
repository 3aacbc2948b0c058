"""Head pose: angles and rotations, weak perspective, and perspective for a known camera.

The axes of the image and of the model: x right, y down, z away from the viewer (right-handed). The model faces the
viewer: its nose points to -z. A pose is (yaw, pitch, roll) in degrees, R = Rz(roll) Ry(yaw) Rx(pitch), with the signs

    * yaw > 0: the subject turns to the subject's left, the nose moves to the right of the image;
    * pitch > 0: the subject looks up;
    * roll > 0: the head is rotated clockwise on the screen, as by `transform.similarity(angle=roll)`.

Laws (tested): `angles(rotation(p)) == p` for |yaw| < 90; rotating the image by a adds a to the roll; mirroring the
image negates yaw and roll.
"""

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from canthus.errors import ShapeError

Doubles = NDArray[np.float64]


def rotation(pose: NDArray[Any]) -> Doubles:
    """Rotation matrix of a pose.

    Args:
        pose: Yaw, pitch, roll in degrees. Shape (..., 3).

    Returns:
        Shape (..., 3, 3).
    """
    sine, cosine = np.sin(np.deg2rad(pose)), np.cos(np.deg2rad(pose))
    (sy, sp, sr), (cy, cp, cr) = np.moveaxis(sine, -1, 0), np.moveaxis(cosine, -1, 0)
    rows = (
        (cr * cy, cr * sy * sp - sr * cp, -cr * sy * cp - sr * sp),
        (sr * cy, sr * sy * sp + cr * cp, -sr * sy * cp + cr * sp),
        (sy, -cy * sp, cy * cp),
    )
    return np.stack([np.stack(row, -1) for row in rows], -2)


def angles(matrix: NDArray[Any]) -> Doubles:
    """Pose of a rotation matrix; at a yaw of 90 degrees, where pitch and roll are the same rotation, the roll is 0.

    Args:
        matrix: Rotations. Shape (..., 3, 3).

    Returns:
        Yaw in -90..90, pitch and roll in -180..180, degrees. Shape (..., 3).
    """
    m = np.asarray(matrix, np.float64)
    cosine = np.hypot(m[..., 0, 0], m[..., 1, 0])
    profile = cosine < 1e-7
    yaw = np.arctan2(m[..., 2, 0], cosine)
    pitch = np.where(profile, np.arctan2(m[..., 1, 2], m[..., 1, 1]), np.arctan2(-m[..., 2, 1], m[..., 2, 2]))
    roll = np.where(profile, 0.0, np.arctan2(m[..., 1, 0], m[..., 0, 0]))
    pose: Doubles = np.rad2deg(np.stack([yaw, pitch, roll], -1))
    return pose


def turn_between(first: NDArray[Any], second: NDArray[Any]) -> Doubles:
    """Angle of the one rotation that brings one pose to another.

    Unlike differences of yaw, pitch and roll it stays small between neighbouring rotations at a yaw of 90 degrees,
    where pitch and roll are the same rotation.

    Args:
        first: Yaw, pitch, roll in degrees. Shape (..., 3).
        second: The same of the other poses. Shape (..., 3).

    Returns:
        Degrees, 0..180; NaN where a pose is NaN. Shape (...).
    """
    apart = np.linalg.norm(rotation(first) - rotation(second), axis=(-2, -1))
    return np.asarray(2 * np.degrees(np.arcsin(np.minimum(apart / np.sqrt(8), 1))), np.float64)


def azimuth(matrix: NDArray[Any]) -> Doubles:
    """Azimuth: yaw about the vertical axis of the head, to which a rotation about it adds; the yaw where pitch is 0.

    Args:
        matrix: Rotations. Shape (..., 3, 3).

    Returns:
        Degrees. Shape (...).
    """
    matrix = np.asarray(matrix, np.float64)
    return np.asarray(np.rad2deg(np.arctan2(matrix[..., 2, 0], matrix[..., 2, 2])))


def rotate(vectors: NDArray[Any], axis: NDArray[Any], angle: NDArray[Any]) -> Doubles:
    """Rotate vectors about an axis, right-handed: Rodrigues' formula.

    Args:
        vectors: Vectors. Shape (..., N, 3).
        axis: Axis of unit length, or 0 for no rotation. Shape (..., 3).
        angle: Angle for each vector, radians. Shape (..., N) or (..., 1).

    Returns:
        Shape (..., N, 3).
    """
    along = (vectors @ axis[..., None]) * axis[..., None, :]
    angle = angle[..., None]
    turned: Doubles = along + (vectors - along) * np.cos(angle) + np.cross(axis[..., None, :], vectors) * np.sin(angle)
    return turned


def rotation_about(vectors: NDArray[Any]) -> Doubles:
    """Rotation matrices of rotation vectors: the direction is the axis, the length the angle in radians.

    Args:
        vectors: Rotation vectors. Shape (..., 3).

    Returns:
        Shape (..., 3, 3).
    """
    angle = np.linalg.norm(vectors, axis=-1, keepdims=True)
    axis = vectors / np.where(angle > 1e-100, angle, np.inf)  # squares of less underflow
    return np.swapaxes(rotate(np.eye(3), axis, angle), -1, -2)


@dataclass(frozen=True, eq=False)
class WeakPerspective:
    """A weak perspective camera (far away) for each face: x = scale * (R X)[:2] + shift.

    Attributes:
        scale: Pixels per unit of the model. Shape (F,).
        rotation: Rotation R of the head. Shape (F, 3, 3).
        shift: Translation in the image, pixels. Shape (F, 2).
        residual: Weighted root mean square distance of the points from the projected model, pixels. Shape (F,).
    """

    scale: Doubles
    rotation: Doubles
    shift: Doubles
    residual: Doubles

    @property
    def pose(self) -> Doubles:
        """Yaw, pitch, roll in degrees. Shape (F, 3)."""
        return angles(self.rotation)

    def project(self, model: NDArray[Any]) -> Doubles:
        """Image positions, with depth in pixels, of the points of a model (P, 3) or of one model per face (F, P, 3).

        Returns:
            Shape (F, P, 3).
        """
        placed: Doubles = model @ (self.scale[:, None, None] * np.swapaxes(self.rotation, 1, 2))
        placed[..., :2] += self.shift[:, None]
        return placed


def weak_perspective(points: NDArray[Any], model: NDArray[Any], weights: NDArray[Any] | None = None) -> WeakPerspective:
    """Weak perspective cameras that bring the points of a model nearest to image points.

    The affine camera of least squares, then the nearest scaled rotation: closed form, exact on exact points.

    Args:
        points: Image points; NaN has weight 0. Shape (F, P, 2), pixels.
        model: Points of the model. Shape (P, 3).
        weights: Weight of each point, >= 0; None = all equal. Shape (F, P) or (P,).

    Returns:
        One camera per face; all NaN where the weighted points do not determine it (fewer than four, or in a plane).

    Raises:
        ShapeError: the shapes do not fit.
    """
    points, model = np.asarray(points, np.float64), np.asarray(model, np.float64)
    if points.ndim != 3 or points.shape[2] != 2 or model.shape != (points.shape[1], 3):
        raise ShapeError(f"points are (F, P, 2) and the model is (P, 3), not {points.shape} and {model.shape}")
    seen = np.isfinite(points).all(-1)
    weight = np.where(seen, 1.0 if weights is None else np.asarray(weights, np.float64), 0.0)  # (F, P)
    total = np.maximum(weight.sum(1), 1e-30)
    share = (weight / total[:, None])[..., None]
    points = np.where(seen[..., None], points, 0.0)
    image_centre, model_centre = (share * points).sum(1), (share * model).sum(1)
    x, solid = points - image_centre[:, None], model - model_centre[:, None]
    spread = np.swapaxes(share * solid, 1, 2) @ solid  # (F, 3, 3)
    known = np.linalg.det(spread) > 1e-9 * np.maximum(np.trace(spread, axis1=1, axis2=2) / 3, 1e-30) ** 3
    spread[~known] = np.eye(3)
    affine = np.swapaxes(np.linalg.solve(spread, np.swapaxes(share * solid, 1, 2) @ x), 1, 2)  # (F, 2, 3)
    u, stretch, v = np.linalg.svd(affine, full_matrices=False)
    known &= stretch[:, 1] > 1e-9 * stretch[:, 0]
    first, second = np.swapaxes(u @ v, 0, 1)
    found = np.stack([first, second, np.cross(first, second)], 1)
    scale = stretch.mean(1)
    shift = image_centre - scale[:, None] * (found[:, :2] @ model_centre[..., None])[..., 0]
    far = ((x - scale[:, None, None] * (solid @ np.swapaxes(found[:, :2], 1, 2))) ** 2).sum(-1)
    parts = (scale, found, shift, np.sqrt((share[..., 0] * far).sum(1)))
    for part in parts:
        part[~known] = np.nan
    return WeakPerspective(*parts)


def pose_from_points(points: NDArray[Any], model: NDArray[Any], weights: NDArray[Any] | None = None) -> Doubles:
    """Yaw, pitch, roll of faces by `weak_perspective`, which takes the same arguments. Shape (F, 3), degrees."""
    return weak_perspective(points, model, weights).pose


def pose_from_solid(points: NDArray[Any], model: NDArray[Any]) -> Doubles:
    """Pose of the similarities of space that bring a model nearest to 3D points [Umeyama, 1991].

    Args:
        points: Points with depth. Shape (F, P, 3), pixels.
        model: Points of the model, seen from the front. Shape (P, 3).

    Returns:
        Yaw, pitch, roll in degrees; NaN where a face has a NaN. Shape (F, 3).

    Raises:
        ShapeError: the shapes do not fit.
    """
    points, model = np.asarray(points, np.float64), np.asarray(model, np.float64)
    if points.ndim != 3 or points.shape[1:] != model.shape or points.shape[2] != 3:
        raise ShapeError(f"points are (F, P, 3) and the model is (P, 3), not {points.shape} and {model.shape}")
    pose = np.full((len(points), 3), np.nan)
    known = np.isfinite(points).all((1, 2))
    faces = points[known] - points[known].mean(1, keepdims=True)
    u, _, v = np.linalg.svd(np.swapaxes(faces, 1, 2) @ (model - model.mean(0)))
    straight = np.tile(np.eye(3), (len(u), 1, 1))
    straight[:, 2, 2] = np.linalg.det(u @ v)
    pose[known] = angles(u @ straight @ v)
    return pose


def perspective(points: NDArray[Any], model: NDArray[Any], camera: NDArray[Any]) -> tuple[Doubles, Doubles]:
    """Rotation and translation of a head before a known camera: SQPnP [Terzakis and Lourakis, 2020], refined by OpenCV.

    Args:
        points: Image points; NaN is left out. Shape (P, 2), pixels.
        model: Points of the model. Shape (P, 3).
        camera: Intrinsic matrix of the camera, pixels. Shape (3, 3).

    Returns:
        Rotation R (3, 3) and translation t (3,) in the unit of the model: R X + t is X in the axes of the camera.

    Raises:
        ShapeError: the shapes do not fit, or the points do not determine a pose.
    """
    points, model = np.asarray(points, np.float64), np.asarray(model, np.float64)
    if points.ndim != 2 or points.shape[1] != 2 or model.shape != (len(points), 3):
        raise ShapeError(f"points are (P, 2) and the model is (P, 3), not {points.shape} and {model.shape}")
    seen = np.isfinite(points).all(1)
    points, model = np.ascontiguousarray(points[seen]), np.ascontiguousarray(model[seen])
    if len(points) < 4:
        raise ShapeError(f"a perspective pose needs at least four points, not {len(points)}")
    found, turn, shift = cv2.solvePnP(model, points, camera, None, flags=cv2.SOLVEPNP_SQPNP)
    if not found:
        raise ShapeError("the points do not determine a pose before this camera")
    turn, shift = cv2.solvePnPRefineLM(model, points, camera, None, turn, shift)
    return np.asarray(cv2.Rodrigues(turn)[0], np.float64), np.asarray(shift[:, 0], np.float64)
