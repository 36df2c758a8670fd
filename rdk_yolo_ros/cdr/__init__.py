"""Messages as the bytes that DDS carries (CDR), read and written without rclpy."""
