"""Tells the composer of a piano-roll window with a small convolutional network.

The pipeline reads scores from the installed music21 package, cuts them into
windows, splits them by work, trains two networks, spoils a third on purpose and
releases all three as artifacts. Scores, rolls and note tables stay in the cache
folder: nothing of them is released.

Example::

    python -m mozart evaluate      # cross-validation, writes results/
    python -m mozart train         # trains and releases versions 1, 2 and 3
    python -m mozart drift octave --limit 20 > drifted.jsonl
"""

LABELS: tuple[str, ...] = ("bach", "beethoven", "monteverdi", "mozart", "palestrina")
"""The classes, in the order of the network's outputs."""

PITCHES = 88
"""Rows of a window: the keys of a piano, MIDI 21 to 108, lowest first."""

STEPS = 128
"""Columns of a window: sixteenth notes, eight bars of 4/4."""
