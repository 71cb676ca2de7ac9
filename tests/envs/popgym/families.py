"""The families of POPGym, each in three difficulties."""

FAMILIES = (
    *("Autoencode", "Battleship", "Concentration", "CountRecall", "HigherLower"),
    *("LabyrinthEscape", "LabyrinthExplore", "MineSweeper", "MultiarmedBandit"),
    *("NoisyPositionOnlyCartPole", "NoisyPositionOnlyPendulum", "PositionOnlyCartPole"),
    *("PositionOnlyPendulum", "RepeatFirst", "RepeatPrevious", "VelocityOnlyCartpole"),
)
