"""What `rdk-yolo doctor` looks at; one file a subject."""
