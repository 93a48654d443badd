"""Where runs take place: in this process, in several on this machine, or on a cluster of Ray."""
