# ament_cmake_ros asks for ament_cmake_gtest, which is needed by tests only and has no wheel.
set(ament_cmake_gtest_FOUND TRUE)
