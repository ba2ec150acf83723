"""What Windows Update would offer a machine, and why not the rest: pure rules over values, without I/O."""
