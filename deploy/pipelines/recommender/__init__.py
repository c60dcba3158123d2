"""Scores candidate items for a user: implicit matrix factorisation in numpy.

The released versions learn from interactions that a seeded generator makes up, so
nothing of anybody's behaviour is in them. The same code can be judged on real
ratings (MovieLens 100k, read at build time and never released).

Example::

    python -m recommender evaluate
    make movielens                     # figures on real ratings, printed only
    python -m recommender train
"""

MODEL = "recommender"
"""The model's name in documents and requests."""
