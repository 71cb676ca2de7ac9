"""The stacks of four layers that the suite `layer` measures, and programs made of them."""

NUM_LAYERS = 4


def make_stack(kind, width):
    """Returns a stack over sequences, not yet built.

    Args:
        kind: String, one of `s5`, `s5_bfloat16`, `gru`, `lstm` and `attention`.
        width: Positive integer, features of every layer, and the state size of S5.
    """
    import keras

    from keras_s5rl.layers import S5Stack

    if kind.startswith("s5"):
        dtype = "mixed_bfloat16" if kind == "s5_bfloat16" else "float32"
        sizes = {"width": width, "state_size": width}
        return S5Stack(NUM_LAYERS, **sizes, norm="pre", seed=0, dtype=dtype)
    if kind == "attention":
        return _attention(width)
    layer = {"gru": keras.layers.GRU, "lstm": keras.layers.LSTM}[kind]
    return keras.Sequential([layer(width, return_sequences=True) for _ in range(NUM_LAYERS)])


def make_stepper(kind, width, context):
    """Returns a stack with `step`, not yet built.

    Args:
        kind: String, `s5` or `attention`.
        width: Positive integer, features of every layer, and the state size of S5.
        context: Positive integer, the steps that a layer of attention sees. S5 has no such limit.
    """
    from keras_s5rl.layers import CausalAttention

    if kind == "attention":
        return CausalAttention(NUM_LAYERS, width, context_length=context, seed=0)
    return make_stack(kind, width)


def gradient_program(layer):
    """Returns a compiled function of the inputs: half the sum of the squares of the outputs, and
    its gradients for all weights of a built layer."""
    from keras import ops

    from keras_s5rl import backend

    def gradient(call, values, inputs):
        def loss(values):
            outputs = call(values, inputs)
            return 0.5 * ops.sum(ops.square(ops.cast(outputs, "float32"))), ()

        return backend.value_and_gradients(loss, values)

    return _with_weights(layer, layer, gradient)


def step_program(layer, num_steps):
    """Returns a compiled function of inputs `(batch, features)` and a state that takes `num_steps`
    steps, all of the same inputs: their outputs and the last state."""
    from keras_s5rl import backend

    def steps(call, values, inputs, state):
        def step(state, _):
            outputs, state = call(values, inputs, None, state)
            return state, outputs

        return backend.scan(step, state, None, length=num_steps)

    return _with_weights(layer, layer.step, steps)


def _with_weights(layer, method, function):
    """Compiles `function(call, values, *tensors)`; `call(values, ...)` is the method of the layer
    with those weights. The weights are arguments of the program: it would fold constants."""
    import keras
    from keras import ops

    from keras_s5rl import backend

    variables, rest = layer.trainable_variables, layer.non_trainable_variables

    def program(values, rest_values, *tensors):
        def call(values, *arguments):
            mapping = [*zip(variables, values, strict=True), *zip(rest, rest_values, strict=True)]
            with keras.StatelessScope(state_mapping=mapping):
                return method(*arguments)

        return function(call, values, *tensors)

    compiled = backend.compile(program)
    weights = [[ops.copy(v.value) for v in each] for each in (variables, rest)]
    return lambda *tensors: compiled(*weights, *tensors)


def _attention(width):
    """Blocks of causal attention and a dense layer, each with a residual connection."""
    import keras

    inputs = features = keras.Input((None, width))
    for _ in range(NUM_LAYERS):
        attend = keras.layers.MultiHeadAttention(num_heads=4, key_dim=width // 4)
        features = features + attend(features, features, use_causal_mask=True)
        features = features + keras.layers.Dense(width, activation="relu")(features)
    return keras.Model(inputs, features)
