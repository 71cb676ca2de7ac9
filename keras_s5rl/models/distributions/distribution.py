"""`Distribution`: what the distributions over actions have in common."""

from typing import Any, Self

from keras_s5rl.typing import Tensor


class Distribution:
    """Base of the distributions.

    Each has the same members. Parameters and actions may have any leading axes, such as `(batch,)`
    or `(batch, time)`.

    | member | meaning |
    | --- | --- |
    | `num_outputs` | units of the actor's last layer |
    | `num_log_stds` | log standard deviations that the policy learns besides |
    | `num_parameters` | parameters of one action |
    | `parameters(outputs, log_std)` | float32 `(..., num_parameters)`, from the actor's outputs |
    | `masked(parameters, mask)` | the parameters under which illegal actions are not taken |
    | `mode(parameters)` | the most likely action, in the environment's format |
    | `sample(parameters, key)` | a drawn action |
    | `log_prob(parameters, action)`, `entropy(parameters)` | float32 `(...)`, in nats |
    """

    num_outputs: int
    num_log_stds: int = 0
    num_parameters: int

    def parameters(self, outputs: Tensor, log_std: Tensor | None = None) -> Tensor:
        raise NotImplementedError

    def masked(self, parameters: Tensor, mask: Tensor) -> Tensor:
        """Returns the parameters under which actions that a mask forbids have probability 0.

        Only distributions over discrete actions have it.

        Args:
            parameters: float32 tensor `(..., num_parameters)`, logits.
            mask: Tensor of the same shape, 0 for what is illegal. Where all choices of a number
                are, none is masked.
        """
        raise NotImplementedError

    def mode(self, parameters: Tensor) -> Tensor:
        raise NotImplementedError

    def sample(self, parameters: Tensor, key: Tensor) -> Tensor:
        raise NotImplementedError

    def log_prob(self, parameters: Tensor, action: Tensor) -> Tensor:
        raise NotImplementedError

    def entropy(self, parameters: Tensor) -> Tensor:
        raise NotImplementedError

    def get_config(self) -> dict[str, Any]:
        raise NotImplementedError

    def __repr__(self) -> str:
        arguments = (f"{name}={value}" for name, value in self.get_config().items())
        return f"{type(self).__name__}({', '.join(arguments)})"

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Self:
        """How Keras makes one again from its config."""
        return cls(**config)
