"""What all rooms stand on: this machine and the network, and how text, names, and errors are shown."""
