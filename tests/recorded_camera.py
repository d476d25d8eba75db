"""Recordings of a camera that never was: librealsense's software device through its own recorder, for the ordinary pipeline.

Two cameras side by side, 50 mm apart without rotation: depth lands in the colour's pixels where geometry says.
"""

import time

import numpy as np

SERIAL, RATE_HZ, UNIT_M = "SIM0001", 30, 0.001
WIDTH, HEIGHT = 64, 48
FOCAL_COLOUR, FOCAL_DEPTH, BASELINE_M = 60.0, 50.0, -0.05  # of the colour camera in the depth camera's optical frame


def intrinsics(rs, focal: float):
    found = rs.intrinsics()
    found.width, found.height, found.fx, found.fy = WIDTH, HEIGHT, focal, focal
    found.ppx, found.ppy, found.model, found.coeffs = 31.5, 23.5, rs.distortion.none, [0.0] * 5
    return found


def record(rs, path, depths_mm, colours, unit_m: float = UNIT_M, first_ms: float = 1000.0, colour_format=None):
    """A picture each of depths_mm (raw values: of all pixels, or of each column) and colours ((r, g, b) of all pixels).

    colour_format: what the colours are said to be; None: rgb8.
    """
    device = rs.software_device()
    device.register_info(rs.camera_info.serial_number, SERIAL)
    device.register_info(rs.camera_info.name, "Software")
    sensors, profiles = [], []
    for index, (kind, pixel, size, focal, name) in enumerate(
        (
            (rs.stream.depth, rs.format.z16, 2, FOCAL_DEPTH, "Depth"),
            (rs.stream.color, colour_format or rs.format.rgb8, 3, FOCAL_COLOUR, "Color"),
        )
    ):
        sensor, stream = device.add_sensor(name), rs.video_stream()
        stream.type, stream.index, stream.uid, stream.fmt, stream.bpp = kind, 0, index + 1, pixel, size
        stream.width, stream.height, stream.fps, stream.intrinsics = WIDTH, HEIGHT, RATE_HZ, intrinsics(rs, focal)
        profiles.append(sensor.add_video_stream(stream))
        sensors.append(sensor)
    sensors[0].add_read_only_option(rs.option.depth_units, unit_m)
    between = rs.extrinsics()  # of points in the depth camera, as the colour camera sees them
    between.rotation, between.translation = np.eye(3).ravel().tolist(), [-BASELINE_M, 0.0, 0.0]
    profiles[0].register_extrinsics_to(profiles[1], between)
    recorder = rs.recorder(str(path), device)
    syncer = rs.syncer()
    for sensor, profile in zip(sensors, profiles):
        sensor.open(profile)
        sensor.start(syncer)
    kept = []
    for number, (depth, colour) in enumerate(zip(depths_mm, colours)):
        pictures = np.full((HEIGHT, WIDTH), depth, np.uint16), np.full((HEIGHT, WIDTH, 3), colour, np.uint8)
        for sensor, profile, picture in zip(sensors, profiles, pictures):
            frame = rs.software_video_frame()
            frame.pixels, frame.stride, frame.bpp = picture, picture[0].nbytes, picture[0, 0].nbytes
            frame.timestamp, frame.domain = first_ms + 1000.0 * number / RATE_HZ, rs.timestamp_domain.hardware_clock
            frame.frame_number, frame.profile, frame.depth_units = number + 1, profile.as_video_stream_profile(), unit_m
            sensor.on_video_frame(frame)
            kept.append(picture)
        time.sleep(0.01)
    recorder.pause()
    for sensor in sensors:
        sensor.stop()
        sensor.close()
    del recorder
