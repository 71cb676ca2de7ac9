"""Tables of text, for people."""

from collections.abc import Sequence


def text_table(header: Sequence[str], rows: Sequence[Sequence[str]], markdown: bool = False) -> str:
    """Returns columns of equal width, the first to the left and numbers to the right.

    Args:
        header: Names of the columns.
        rows: The cells of each row.
        markdown: Whether the table is Markdown's. Defaults to `False`.
    """
    table = [header, *rows]
    widths = [max(3, *(len(line[column]) for line in table)) for column in range(len(header))]
    lines = [
        [
            cell.ljust(width) if index == 0 else cell.rjust(width)
            for index, (cell, width) in enumerate(zip(line, widths, strict=True))
        ]
        for line in table
    ]
    if not markdown:
        return "\n".join("  ".join(line).rstrip() for line in lines)
    rule = [
        "-" * width if index == 0 else "-" * (width - 1) + ":" for index, width in enumerate(widths)
    ]
    return "\n".join(f"| {' | '.join(line)} |" for line in (lines[0], rule, *lines[1:]))
