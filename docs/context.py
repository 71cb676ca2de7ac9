"""Draws docs/context.png: one motion as an agent sees it in two contexts of projected control.

python docs/context.py
"""

from pathlib import Path

import keras
import numpy as np
from keras import ops
from PIL import Image

from keras_s5rl import backend, envs, random
from keras_s5rl.envs.rendering import render
from keras_s5rl.runs.figures import COLOURS, new_figure, save_figure, set_look

TRIALS, STEPS, NUM_COLOURS = 3, 60, 96
FRAMES = (0, 30, 59, 60, 90, 120, 150)


def two_contexts(env):
    """Two states that differ in nothing but their projections."""
    draws = env.draw_initial(random.key(1), 2)
    for name, values in draws.items():
        if not name.endswith("_projection"):
            draws[name] = ops.repeat(values[:1], 2, axis=0)
    return env.initial(draws)


def play(env):
    """Returns observations, actions and rewards over time, and some pictures of the body."""
    state, transition = two_contexts(env), backend.compile(env.transition)
    projection = keras.ops.convert_to_numpy(state["controls"])[:, 0]
    to_action = projection / np.sum(projection**2, axis=1, keepdims=True)
    observations, actions, rewards, frames = [], [], [], []
    for step in range(TRIALS * STEPS):
        action = (0.8 * np.sin(0.35 * step) * to_action).astype("float32")
        if step in FRAMES:
            own = keras.tree.map_structure(lambda values: ops.convert_to_numpy(values)[0], state)
            frames.append(render(env, own, "rgb_array"))
        observations.append(ops.convert_to_numpy(env.observation(state)))
        state, reward, _, _ = transition(state, ops.convert_to_tensor(action), {})
        actions.append(action)
        rewards.append(ops.convert_to_numpy(reward)[0])
    return np.array(observations), np.array(actions), np.array(rewards), frames


def main():
    env = envs.make(
        "projected_control", tasks=("cartpole_swingup",), num_trials=TRIALS, trial_steps=STEPS
    )
    observations, actions, rewards, frames = play(env)
    figure = new_figure(10, 6.6)
    rows = figure.subfigures(2, 1, height_ratios=[1, 4.2])
    for axes, frame, step in zip(rows[0].subplots(1, len(frames)), frames, FRAMES, strict=True):
        axes.imshow(frame[130:300, 40:-40])
        axes.set_axis_off()
        axes.set_title(f"step {step}", fontsize="small")
    panels = rows[1].subplots(3, 2, sharex=True, sharey="row", height_ratios=[3, 1.4, 1])
    for context, (numbers, action, reward) in enumerate(panels.T):
        numbers.plot(observations[:, context, :12], linewidth=1)
        numbers.set_title(f"Context {context + 1}", loc="left", fontsize="medium")
        action.plot(actions[:, context], linewidth=1, color=COLOURS[1])
        reward.plot(rewards, linewidth=1.2, color=COLOURS[2])
        for axes in (numbers, action, reward):
            set_look(axes)
            for start in range(0, TRIALS * STEPS, STEPS):
                axes.axvline(start, color="#555555", linestyle="--", linewidth=0.8)
        reward.set_xlabel("Step in the context; a dashed line starts a trial")
    for axes, name in zip(
        panels[:, 0], ("12 projected\nnumbers", "2 actions", "Reward"), strict=True
    ):
        axes.set_ylabel(name)
    output = Path(__file__).with_suffix(".png")
    save_figure(figure, output)
    Image.open(output).convert("RGB").quantize(NUM_COLOURS).save(output, optimize=True)


if __name__ == "__main__":
    main()
