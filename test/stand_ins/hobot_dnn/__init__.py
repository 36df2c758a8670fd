"""
A stand-in for the vendor's hobot_dnn.

Under the name hobot_dnn_rdkx5, link this folder into another by that name.
"""
