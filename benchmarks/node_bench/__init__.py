"""What the nodes spend beside inference: messages, and images between processes."""
