"""The front door: every node of the stack, from the table in lpds_ros/bringup.py. No logic here.

ros2 launch lpds_ros franka_steer.launch.py robot:=sim
"""

from launch import LaunchDescription
from launch.actions import (
    DeclareLaunchArgument,
    GroupAction,
    IncludeLaunchDescription,
    OpaqueFunction,
    SetEnvironmentVariable,
    Shutdown,
)
from launch.launch_description_sources import AnyLaunchDescriptionSource
from launch_ros.actions import Node

from lpds_ros import bringup
from lpds_ros.arguments import ARGUMENTS, ours, typed
from lpds_ros.environment import ros_environment
from lpds_ros.included import Include, launch_file
from lpds_ros.run_folder import open_run


def _beside(plan, part):
    """An include sees its own arguments alone (ours may have the same names), an executable is named by its package."""
    if isinstance(part, Include):
        source = AnyLaunchDescriptionSource(str(launch_file(part)))
        include = IncludeLaunchDescription(source, launch_arguments=part.arguments.items())
        return GroupAction([include], scoped=True, forwarding=False)
    return Node(
        package=part.package,
        executable=part.executable,
        namespace=plan.namespace or None,
        arguments=list(part.words),
        output="both",
    )


def _nodes(context):
    plan = bringup.plan(typed(ours(context.launch_configurations)))
    others = [_beside(plan, part) for part in plan.beside]
    run_dir = open_run(plan)
    environment = [SetEnvironmentVariable(name, value) for name, value in ros_environment(run_dir).items()]
    nodes = [
        Node(
            package="lpds_ros",
            executable=process.executable,
            name=process.name,
            namespace=plan.namespace or None,
            parameters=[process.parameters],
            prefix=f"nice -n {process.nice}" if process.nice else None,
            output="both",
            respawn=process.restarts > 0,
            respawn_max_retries=process.restarts,
            on_exit=[Shutdown(reason=f"{process.name} has ended")] if process.essential else None,
        )
        for process in plan.processes
    ]
    return environment + others + nodes


def generate_launch_description():
    return LaunchDescription(
        [
            DeclareLaunchArgument(a.name, default_value=a.default, description=a.help, choices=list(a.choices) or None)
            for a in ARGUMENTS
        ]
        + [OpaqueFunction(function=_nodes)]
    )
