import numpy as np
import pytest

from keras_s5rl.ops import linear_recurrence
from keras_s5rl.ops.pallas import pallas_obstacle
from tests.ops.recurrences import loop, problem, solve

pytestmark = pytest.mark.skipif(
    pallas_obstacle() is None, reason="The kernels run here, and nothing stands in their way."
)


def test_asking_for_the_kernels_where_they_cannot_run_says_why():
    with pytest.raises(ValueError, match="(?s)NVIDIA GPU.*Use 'auto'.*Received: .* with the (.*)"):
        linear_recurrence(**problem(), implementation="pallas")


def test_auto_takes_another_where_they_cannot_run():
    case = problem()
    np.testing.assert_allclose(solve(case), loop(**case), rtol=1e-5, atol=1e-5)
