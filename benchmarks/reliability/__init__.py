"""Counts of what the program withstands: hostile input, kills, damage, full disks; part by part.

``python -m benchmarks.reliability`` runs every part and writes ``results/reliability.md``; so does
``make reliability``. A part is a module in :mod:`benchmarks.reliability.parts` with a function
``run(cases)``, which returns a :class:`~benchmarks.reliability.tally.Result`, and the number
``CASES`` of cases that the page is made of. Tests run the same parts with fewer cases.
"""
