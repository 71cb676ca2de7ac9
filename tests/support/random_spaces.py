"""Random nested spaces of Gymnasium, as strategies of hypothesis."""

import numpy as np
from gymnasium import spaces
from hypothesis import strategies as st

NUMBERS = {"float32": 1.0, "float64": 1.0, "float16": 1.0, "uint8": 255, "int32": 9, "int64": 9}


def shapes(most_axes=3, longest=3):
    return st.lists(st.integers(1, longest), max_size=most_axes).map(tuple)


@st.composite
def boxes(draw, dtypes=tuple(NUMBERS)):
    dtype = draw(st.sampled_from(dtypes))
    is_image = draw(st.integers(0, 4)) == 0
    shape = draw(st.sampled_from([(7, 7, 3), (8, 9)]) if is_image else shapes())
    high = NUMBERS[dtype] * draw(st.sampled_from([1, 1, 0.1] if dtype.startswith("f") else [1]))
    low = 0 if dtype == "uint8" else -high
    if dtype.startswith("float"):
        low, high = draw(st.sampled_from([low, -np.inf])), draw(st.sampled_from([high, np.inf]))
    return spaces.Box(low, high, shape, dtype)


def leaves(dtypes):
    starts = st.integers(-3, 3)
    return st.one_of(
        boxes(dtypes),
        st.builds(lambda n, start: spaces.Discrete(n, start=start), st.integers(1, 4), starts),
        st.builds(spaces.MultiBinary, shapes().map(lambda shape: shape or 2)),
        st.builds(
            lambda shape, n, start: spaces.MultiDiscrete(
                np.full(shape, n), start=np.full(shape, start)
            ),
            shapes(most_axes=2).map(lambda shape: shape or (2,)),
            st.integers(1, 4),
            starts,
        ),
    )


def nested(dtypes=tuple(NUMBERS), unsupported=False):
    """Spaces, dicts and tuples of them, and dicts and tuples of these."""
    parts = leaves(dtypes)
    if unsupported:
        others = [spaces.Text(3), spaces.Sequence(spaces.Discrete(2)), spaces.Tuple(())]
        parts = st.one_of(parts, parts, parts, st.sampled_from(others))

    def inside(children):
        names = st.sampled_from(["a", "b", "mission", "action_mask"])
        return st.one_of(
            st.lists(children, min_size=1, max_size=3).map(spaces.Tuple),
            st.dictionaries(names, children, min_size=1, max_size=3).map(spaces.Dict),
        )

    return st.recursive(parts, inside, max_leaves=4)
