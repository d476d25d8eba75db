"""The FR3 with its hand as a mesh-free MuJoCo model, built with MjSpec.

Geometry and limits: fr3.py. Link and hand inertias: the public identification of the Panda, which has the FR3's
geometry (Gaz, Cognetti, Oliva, Robuffo Giordano, De Luca, RA-L 2019), as franka_description carries it for that arm;
Franka publishes no official figures. Armature and joint friction are plausible values of ours.
"""

import math

import mujoco

from lpds_ros.sim import fr3

# The identified inertias hold the drives' share already; the wrist needs more to be stable under 10 Nms/rad at 1 kHz.
ARMATURE_KGM2 = (0.02, 0.02, 0.02, 0.02, 0.05, 0.05, 0.05)
JOINT_DAMPING = (3.0, 3.0, 3.0, 3.0, 1.0, 1.0, 1.0)  # Nm s/rad
# Stiffer than MuJoCo's default, which lets 30 N press fingers millimetres into a cube.
CONTACT_SOLREF, CONTACT_SOLIMP = (0.004, 1.0), (0.95, 0.99, 0.0005, 0.5, 2.0)
FINGER_ARMATURE_KG = 0.1  # the motor's inertia seen through the rack

# mass kg, centre of mass m, inertia about it (xx, yy, zz, xy, xz, yz) kg m²
LINKS = (
    (4.970684, (0.003875, 0.002081, -0.04762), (0.70337, 0.70661, 0.0091170, -0.000139, 0.006772, 0.019169)),
    (0.646926, (-0.003141, -0.02872, 0.003495), (0.007962, 0.02811, 0.025995, -0.003925, 0.010254, 0.000704)),
    (3.228604, (0.027518, 0.039252, -0.066502), (0.037242, 0.036155, 0.01083, -0.004761, -0.011396, -0.012805)),
    (3.587895, (-0.05317, 0.104419, 0.027454), (0.025853, 0.019552, 0.028323, 0.007796, -0.001332, 0.008641)),
    (1.225946, (-0.011953, 0.041065, -0.038437), (0.035549, 0.029474, 0.008627, -0.002117, -0.004037, 0.000229)),
    (1.666555, (0.060149, -0.014117, -0.010517), (0.001964, 0.004354, 0.005433, 0.000109, -0.001158, 0.000341)),
    (0.735522, (0.010517, -0.004252, 0.061597), (0.012516, 0.010027, 0.004815, -0.000428, -0.001196, -0.000741)),
)
FINGER = (0.015, (0.0, 0.0, 0.0), (2.375e-6, 2.375e-6, 7.5e-7, 0.0, 0.0, 0.0))

# Looks only (no contact): a capsule a link, from and to in the link's frame, radius m.
CAPSULES = (
    ((0.0, 0.0, -0.19), (0.0, 0.0, 0.0), 0.06),
    ((0.0, 0.0, -0.06), (0.0, 0.0, 0.06), 0.06),
    ((0.0, 0.0, -0.17), (0.0825, 0.0, 0.0), 0.055),
    ((0.0, 0.0, -0.05), (-0.0825, 0.09, 0.0), 0.055),
    ((0.0, 0.02, -0.25), (0.0, 0.05, 0.0), 0.05),
    ((0.0, 0.0, -0.04), (0.088, 0.0, 0.0), 0.045),
    ((0.0, 0.0, 0.03), (0.0, 0.0, 0.09), 0.04),
)
WHITE, DARK = (0.92, 0.93, 0.95, 1.0), (0.2, 0.2, 0.22, 1.0)


def _body(parent, name, inertial, pos, quat):
    mass, centre, inertia = inertial
    body = parent.add_body(name=name, pos=pos, quat=quat, mass=mass, ipos=centre, explicitinertial=True)
    body.fullinertia = inertia
    return body


def _about(axis: str, angle_rad: float) -> list[float]:
    """Quaternion (MuJoCo order: w first) of a turn about x or z."""
    c, s = math.cos(angle_rad / 2), math.sin(angle_rad / 2)
    return [c, s, 0.0, 0.0] if axis == "x" else [c, 0.0, 0.0, s]


def add_arm(spec: mujoco.MjSpec, finger_friction: float):
    """Add arm, hand, coupled fingers, their motors and the tool centre point's site to the world body of `spec`.

    Motors: fr3_joint1..7 in Nm, then one a finger in N. Only hand and fingers make contact.
    """
    parent = spec.worldbody
    parent.add_geom(
        name="fr3_link0", type=mujoco.mjtGeom.mjGEOM_CYLINDER, size=[0.07, 0.07, 0], pos=[0, 0, 0.07], rgba=WHITE,
        contype=0, conaffinity=0,
    )  # fmt: skip
    for i, name in enumerate(fr3.JOINTS):
        a, alpha, d = fr3.DH_A_M[i], fr3.DH_ALPHA_RAD[i], fr3.DH_D_M[i]
        pos = [a, -d * math.sin(alpha), d * math.cos(alpha)]
        parent = _body(parent, f"fr3_link{i + 1}", LINKS[i], pos, _about("x", alpha))
        parent.add_joint(
            name=name, type=mujoco.mjtJoint.mjJNT_HINGE, axis=[0, 0, 1], range=[fr3.Q_MIN_RAD[i], fr3.Q_MAX_RAD[i]],
            limited=True, armature=ARMATURE_KGM2[i], damping=JOINT_DAMPING[i],
        )  # fmt: skip
        start, end, radius = CAPSULES[i]
        parent.add_geom(
            type=mujoco.mjtGeom.mjGEOM_CAPSULE, fromto=[*start, *end], size=[radius, 0, 0], rgba=WHITE,
            contype=0, conaffinity=0, mass=0,
        )  # fmt: skip
        _add_motor(spec, name, fr3.TORQUE_MAX_NM[i])
    _add_hand(spec, parent, finger_friction)


def _add_hand(spec, flange_body, friction):
    hand = _body(flange_body, fr3.HAND_BODY, fr3.HAND, [0, 0, fr3.FLANGE_M], _about("z", fr3.HAND_YAW_RAD))
    hand.add_geom(
        name="fr3_hand_box", type=mujoco.mjtGeom.mjGEOM_BOX, size=[0.02, 0.1, 0.03], pos=[0, 0, 0.03], rgba=WHITE,
        mass=0,
    )  # fmt: skip
    hand.add_site(name=fr3.TCP_SITE, pos=[0, 0, fr3.TCP_M], size=[0.005, 0, 0])
    for joint, geom, yaw in zip(fr3.FINGER_JOINTS, fr3.FINGER_GEOMS, (0.0, math.pi)):
        finger = _body(hand, geom, FINGER, [0, 0, fr3.FINGER_M], _about("z", yaw))
        finger.add_joint(
            name=joint, type=mujoco.mjtJoint.mjJNT_SLIDE, axis=[0, 1, 0], range=[0, fr3.MAX_WIDTH_M / 2], limited=True,
            armature=FINGER_ARMATURE_KG, damping=2.0,
        )  # fmt: skip
        finger.add_geom(
            name=geom, type=mujoco.mjtGeom.mjGEOM_BOX, size=[0.0105, 0.007, 0.0225], pos=[0, 0.007, 0.0315], rgba=DARK,
            friction=[friction, 0.005, 0.0001], condim=4, mass=0,
            solref=CONTACT_SOLREF, solimp=CONTACT_SOLIMP,
        )  # fmt: skip
        _add_motor(spec, joint, fr3.FINGER_FORCE_MAX_N)
    rack = spec.add_equality(name="fr3_fingers", type=mujoco.mjtEq.mjEQ_JOINT, objtype=mujoco.mjtObj.mjOBJ_JOINT)
    rack.name1, rack.name2 = fr3.FINGER_JOINTS
    rack.data[:2] = [0.0, 1.0]


def _add_motor(spec, joint, limit):
    motor = spec.add_actuator(name=joint, target=joint, trntype=mujoco.mjtTrn.mjTRN_JOINT)
    motor.set_to_motor()
    motor.forcelimited = True
    motor.forcerange = [-limit, limit]
