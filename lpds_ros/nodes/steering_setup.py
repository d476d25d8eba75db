"""What a steering node is made of before anything runs: contract, decoder, the core's numbers, and the gate of the weights."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from lpds_ros.contract import Contract, ContractError, load_contract, require_same_contract
from lpds_ros.nodes.robot_description import own_limits
from lpds_ros.nodes.steering_params import Parameters
from lpds_ros.parameters import ParameterError
from lpds_ros.prior.bundle import Bundle, load_bundle
from lpds_ros.prior.session import DecoderSession
from lpds_ros.steering.ahead import check_pace
from lpds_ros.steering.canary import Canary
from lpds_ros.steering.core import SteeringCore
from lpds_ros.steering.gate import WeightsGate
from lpds_ros.steering.params import SteeringParams
from lpds_ros.steering.prefix import NO_LEARNER

NO_BUNDLE = ("", "none")


def load(p: Parameters) -> tuple[Contract, Bundle | None, DecoderSession | None]:
    """The contract, and where there is a prior its bundle and its decoder, proven on its golden cases and fast enough.

    Raises ContractError, BundleError or SlowDecoderError, each with what to do.
    """
    bundle = None if p.bundle in NO_BUNDLE else load_bundle(p.bundle)
    if not p.contract and bundle is None:
        raise ContractError(
            "parameters contract and bundle are both empty: -p bundle:=models/<name>, or -p contract:=<file>"
        )
    contract = load_contract(p.contract) if p.contract else bundle.contract
    if bundle is None:
        return contract, None, None
    require_same_contract(contract, bundle.contract.digest, f"bundle {bundle.name}")
    noises = p.steering.noises(contract.horizons.delay)
    decoder = DecoderSession(bundle, p.provider, p.threads, variant=p.variant, batch=noises)
    if p.clock == "realtime" and not p.allow_slow_decoder:
        check_pace(contract, decoder, noises)
    return contract, bundle, decoder


def steering_params(node, p: Parameters) -> SteeringParams:
    """Those of the core, the joints' ranges narrowed by the robot's description. Raises DescriptionError, ConfigError."""
    steering = p.steering
    if not p.robot_description:
        return steering
    joints = own_limits(node, steering.limits, p.robot_description).joints
    return replace(steering, joint_min_rad=joints.position_min_rad, joint_max_rad=joints.position_max_rad)


def make_gate(
    p: Parameters,
    contract: Contract,
    bundle: Bundle | None,
    core: SteeringCore,
    session: str,
    on_rollback: Callable[[str], None],
) -> WeightsGate:
    """The gate to `core`, with the weights of the parameter `actor` behind it. Raises ParameterError or WeightsError."""
    gate = WeightsGate(
        contract,
        bundle.digest if bundle else "",
        core.install_weights,
        golden=bundle.golden() if bundle else [],
        max_radius=p.max_radius,
        canary=Canary(p.canary_window, p.canary_drop),
        session=session,
        on_rollback=on_rollback,
        closed=NO_LEARNER if p.prefix else "",
    )
    if p.actor:
        if bundle is None:
            raise ParameterError("parameter actor needs a bundle: weights perturb a prior")
        if not Path(p.actor).is_file():
            raise ParameterError(f"parameter actor: {p.actor} is no file; name one version of the weights")
        gate.start(Path(p.actor).read_bytes())
    return gate
