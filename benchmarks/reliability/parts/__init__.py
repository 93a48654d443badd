"""The parts, one file each: ``run(cases)`` and ``CASES``; a new file needs no other edit."""
