"""A training that only pretends, for sweeps."""

# Scores by how near `width` is to 40. Width 13 fails, and width 7 waits for a file.
PRETENDED = """
import json, os, sys, time
given = dict(flag[2:].split("=", 1) for flag in sys.argv[1:] if "=" in flag)
os.chdir(given["run_dir"])
width, resumes = int(given["width"]), "--resume" in sys.argv
with open("starts", "a") as file:
    file.write(f"{resumes}\\n")
if not resumes:
    config = {"format_version": 1, "total_steps": 100, "seed": 0, "num_seeds": 1, "width": width}
    open("config.json", "x").write(json.dumps(config))
while width == 7 and not os.path.exists("../../../go"):
    time.sleep(0.05)
if width == 13:
    sys.exit("error: width 13 brings bad luck. Received: width=13")
report = {"return_mean": -abs(width - 40) / 10, "env_steps": 100}
open("evaluation.json", "w").write(json.dumps(report))
"""
