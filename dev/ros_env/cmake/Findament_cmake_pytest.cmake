# ament_cmake_ros asks for ament_cmake_pytest, which is needed by tests only and has no wheel.
set(ament_cmake_pytest_FOUND TRUE)
