import keras
import numpy as np
import pytest
from keras import ops

from keras_s5rl.envs.popgym import boards


def to_tensor(values, dtype="int32"):
    return ops.convert_to_tensor(np.array(values, dtype))


def test_cells_are_counted_row_by_row():
    index = boards.cell_index(to_tensor([[0, 2], [3, 1]]), 5)
    np.testing.assert_array_equal(ops.convert_to_numpy(index), [2, 16])


@pytest.mark.parametrize(("value", "expected"), [(7, (7, 7)), ([8, 9], (8, 9))])
def test_one_cell_of_each_board_is_read_and_written(value, expected):
    board = to_tensor([[1, 2, 3], [4, 5, 6]], "int8")
    index = to_tensor([2, 0])
    np.testing.assert_array_equal(ops.convert_to_numpy(boards.read(board, index)), [3, 4])
    written = boards.write(board, index, value if value == 7 else to_tensor(value))
    assert keras.backend.standardize_dtype(written.dtype) == "int8"
    first, second = expected
    np.testing.assert_array_equal(ops.convert_to_numpy(written), [[1, 2, first], [second, 5, 6]])
