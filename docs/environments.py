"""Draws docs/environments.png, some environments in the middle of an episode of random actions.

python docs/environments.py
"""

from pathlib import Path

import keras
import numpy as np
from keras import ops
from PIL import Image

from keras_s5rl import backend, envs, random
from keras_s5rl.envs.rendering import render

# Environment, steps, seed.
SHOWN = (
    ("RepeatPreviousMedium", 61, 0),
    ("ConcentrationHard", 60, 0),
    ("CountRecallMedium", 40, 0),
    ("BattleshipEasy", 34, 0),
    ("MineSweeperMedium", 11, 4),
    ("LabyrinthExploreEasy", 330, 0),
    ("NoisyPositionOnlyCartPoleHard", 14, 0),
    ("PositionOnlyPendulumEasy", 26, 0),
    ("MultiarmedBanditEasy", 12, 0),
    ("acrobot_swingup", 120, 1),
    ("reacher_easy", 20, 1),
    ("projected_control", 540, 2),
)
COLUMNS, GAP, SCALE, NUM_COLOURS = 3, 12, 0.72, 192


def picture(name, num_steps, seed):
    env = envs.make(name)
    env.action_space.seed(seed)
    state = env.initial(env.draw_initial(random.key(seed), 1))
    transition, episode_return = backend.compile(env.transition), 0.0
    for step in range(num_steps):
        action = np.asarray(env.action_space.sample())
        draws = env.draw_step(random.fold_in(random.key(seed), step), 1)
        batch = ops.convert_to_tensor(action[None])
        state, reward, terminated, truncated = transition(state, batch, draws)
        episode_return += float(reward[0])
        if terminated[0] or truncated[0]:
            break
    state = keras.tree.map_structure(lambda values: ops.convert_to_numpy(values)[0], state)
    pixels = render(env, state, "rgb_array", action, float(reward[0]), episode_return)
    image = Image.fromarray(pixels)
    size = round(image.width * SCALE), round(image.height * SCALE)
    return image.resize(size, Image.Resampling.LANCZOS)


def main():
    pictures = [picture(*shown) for shown in SHOWN]
    rows = [pictures[start : start + COLUMNS] for start in range(0, len(pictures), COLUMNS)]
    widths = [max(row[column].width for row in rows) for column in range(COLUMNS)]
    heights = [max(image.height for image in row) for row in rows]
    size = sum(widths) + GAP * (COLUMNS + 1), sum(heights) + GAP * (len(rows) + 1)
    sheet = Image.new("RGB", size, "#e6e9ec")
    for i, row in enumerate(rows):
        for j, image in enumerate(row):
            corner = GAP + sum(widths[:j]) + GAP * j, GAP + sum(heights[:i]) + GAP * i
            panel = Image.new("RGB", (widths[j], heights[i]), image.getpixel((0, 0)))
            panel.paste(image, ((widths[j] - image.width) // 2, 0))
            sheet.paste(panel, corner)
    output = Path(__file__).with_suffix(".png")
    sheet.quantize(NUM_COLOURS, Image.Quantize.FASTOCTREE).save(output, optimize=True)


if __name__ == "__main__":
    main()
