"""The MuJoCo model of one task: arm, table, cube, and the marked zone where the task has one."""

import mujoco

from lpds_ros.sim.arm import CONTACT_SOLIMP, CONTACT_SOLREF, add_arm
from lpds_ros.sim.prints import Print, add_prints
from lpds_ros.sim.tasks import Scene, Task

OBJECT_BODY, OBJECT_GEOM, OBJECT_JOINT = "object", "object", "object"


def build_model(scene: Scene, task: Task, prints: tuple[Print, ...] = ()) -> mujoco.MjModel:
    """Compile the model (0.02 s); implicitfast, elliptic cones and impratio 10 hold a grasp at 1 kHz."""
    spec = mujoco.MjSpec()
    spec.modelname = f"lpds_{task.name}"
    spec.compiler.degree = False
    option = spec.option
    option.timestep = scene.timestep_s
    option.integrator = mujoco.mjtIntegrator.mjINT_IMPLICITFAST
    option.cone = mujoco.mjtCone.mjCONE_ELLIPTIC
    option.impratio = 10.0
    spec.worldbody.add_light(pos=[0.3, 0.0, 2.0], dir=[0, 0, -1])
    add_arm(spec, scene.finger_friction)
    _add_table(spec, scene, task)
    _add_object(spec, task)
    add_prints(spec, prints)
    return spec.compile()


def _add_table(spec, scene, task):
    (x, y), (sx, sy, thickness) = scene.table.centre_m, scene.table.size_m
    spec.worldbody.add_geom(
        name="table", type=mujoco.mjtGeom.mjGEOM_BOX, size=[sx / 2, sy / 2, thickness / 2], pos=[x, y, -thickness / 2],
        friction=[scene.table.friction, 0.005, 0.0001], rgba=[0.55, 0.5, 0.45, 1],
    )  # fmt: skip
    if task.success.kind == "placed":
        (zx, zy), (hx, hy) = task.success.zone_centre_m, task.success.zone_half_size_m
        spec.worldbody.add_geom(
            name="zone", type=mujoco.mjtGeom.mjGEOM_BOX, size=[hx, hy, 0.0005], pos=[zx, zy, 0.0005],
            rgba=[0.2, 0.7, 0.3, 0.5], contype=0, conaffinity=0,
        )  # fmt: skip


def _add_object(spec, task):
    cube, half = task.object, task.object.width_m / 2
    body = spec.worldbody.add_body(name=OBJECT_BODY, pos=[0.5, 0.0, half])
    body.add_freejoint(name=OBJECT_JOINT)
    body.add_geom(
        name=OBJECT_GEOM, type=mujoco.mjtGeom.mjGEOM_BOX, size=[half, half, half], mass=cube.mass_kg,
        friction=[cube.friction, 0.005, 0.0001], condim=4, rgba=[0.85, 0.2, 0.15, 1],
        solref=CONTACT_SOLREF, solimp=CONTACT_SOLIMP,
    )  # fmt: skip
