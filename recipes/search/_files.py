"""Files that a killed process leaves whole: the old one or the new one, never a half."""

import json
import uuid
from typing import Any

import tensorflow as tf


def write_json(path: str, state: Any) -> None:
    """Replaces a file, wherever TensorFlow can write, in one step.

    Args:
        path: String. The file.
        state: What JSON can hold; infinity is written as Python does.
    """
    beside = f"{path}.{uuid.uuid4().hex[:8]}.tmp"
    try:
        with tf.io.gfile.GFile(beside, "w") as file:
            file.write(json.dumps(state))
        tf.io.gfile.rename(beside, path, overwrite=True)
    except BaseException:
        if tf.io.gfile.exists(beside):
            tf.io.gfile.remove(beside)
        raise


def read_json(path: str) -> Any:
    """What `write_json` wrote."""
    with tf.io.gfile.GFile(path, "r") as file:
        return json.loads(file.read())


def check_writable(directory: str, project_name: str) -> None:
    """Refuses a project directory in which nothing can be written, before anything is trained."""
    project = f"{directory}/{project_name}"
    probe = f"{project}/.{uuid.uuid4().hex[:8]}"
    try:
        tf.io.gfile.makedirs(project)
        with tf.io.gfile.GFile(probe, "w") as file:
            file.write("")
        tf.io.gfile.remove(probe)
    except (OSError, tf.errors.OpError) as error:
        reason = getattr(error, "message", None) or str(error)
        raise ValueError(
            "The project directory must be one that can be written to. Received: "
            f"directory={directory!r}, project_name={project_name!r} ({reason}). Name another one."
        ) from error
