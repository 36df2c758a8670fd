# Included into every project() of an interface package that is built against the ROS wheels.
#
# The exported targets of the message wheels name include directories of the machine that built
# the wheels (its Python's). CMake does not generate while an imported target names a directory
# that is missing, and nothing here needs those: they are taken off the targets once the project
# has found all that it uses.

function(_drop_missing_include_directories)
  get_property(targets DIRECTORY PROPERTY IMPORTED_TARGETS)
  foreach(target IN LISTS targets)
    get_target_property(directories ${target} INTERFACE_INCLUDE_DIRECTORIES)
    if(NOT directories)
      continue()
    endif()
    set(kept "")
    foreach(directory IN LISTS directories)
      if(NOT IS_ABSOLUTE "${directory}" OR EXISTS "${directory}")
        list(APPEND kept "${directory}")
      endif()
    endforeach()
    set_property(TARGET ${target} PROPERTY INTERFACE_INCLUDE_DIRECTORIES "${kept}")
  endforeach()
endfunction()

cmake_language(DEFER CALL _drop_missing_include_directories)
