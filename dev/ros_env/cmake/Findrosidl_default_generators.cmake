# Stands in front of the wheels' package of this name while an interface package is built here:
# what rclpy and Fast DDS use is generated (introspection in C is: Fast DDS describes the types of
# a subscription with it), the C++ interfaces are not. That nearly halves the time of the build.
find_package(rosidl_default_generators REQUIRED CONFIG)
list(FILTER AMENT_EXTENSIONS_rosidl_generate_idl_interfaces EXCLUDE REGEX
  "^(rosidl_generator_cpp|rosidl_typesupport_(cpp|fastrtps_cpp|introspection_cpp)):")
