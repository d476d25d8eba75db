# Used by interfaces/build.sh only (-DCMAKE_PROJECT_INCLUDE), never by colcon on a stock ROS 2.
# The ROS wheels of PyPI export an include directory of the machine they were built on (/opt/python/...). CMake refuses
# a target whose include directory does not exist, so these are dropped from every imported target, once all are known.

macro(lpds_scrub_directory directory)
  get_property(lpds_targets DIRECTORY "${directory}" PROPERTY IMPORTED_TARGETS)
  foreach(lpds_target IN LISTS lpds_targets)
    get_target_property(lpds_includes "${lpds_target}" INTERFACE_INCLUDE_DIRECTORIES)
    if(lpds_includes)
      list(FILTER lpds_includes EXCLUDE REGEX "^/opt/python/")
      set_target_properties("${lpds_target}" PROPERTIES INTERFACE_INCLUDE_DIRECTORIES "${lpds_includes}")
    endif()
  endforeach()
  get_property(lpds_children DIRECTORY "${directory}" PROPERTY SUBDIRECTORIES)
  foreach(lpds_child IN LISTS lpds_children)
    lpds_scrub_directory("${lpds_child}")
  endforeach()
endmacro()

function(lpds_scrub)
  lpds_scrub_directory("${CMAKE_SOURCE_DIR}")
endfunction()

if(CMAKE_CURRENT_SOURCE_DIR STREQUAL CMAKE_SOURCE_DIR)
  cmake_language(DEFER CALL lpds_scrub)
endif()
