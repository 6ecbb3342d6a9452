"""Stand-ins for what a test machine does not have: Hailo files and devices. Never chosen on their own."""
