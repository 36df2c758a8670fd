# Stands in front of the wheels' package of this name while an interface package is built here:
# what Python and Fast DDS need is generated, the C++ interfaces and the introspection type
# supports are not. That halves the time the build takes.
find_package(rosidl_default_generators REQUIRED CONFIG)
list(FILTER AMENT_EXTENSIONS_rosidl_generate_idl_interfaces EXCLUDE REGEX
  "^(rosidl_generator_cpp|rosidl_typesupport_(cpp|fastrtps_cpp|introspection_c|introspection_cpp)):")
