"""The command ``cl-moe``, also as ``python -m cl_moe``.

Nothing is imported at the top: an interrupt during the imports ends with a sentence, too.
"""

from __future__ import annotations

__all__ = ("main",)


def main() -> None:
    """Run the command line."""
    try:
        from cl_moe.cli import main as command
    except KeyboardInterrupt:
        import sys

        print("stopped before anything was done", file=sys.stderr)  # noqa: T201
        sys.exit(130)
    command()


if __name__ == "__main__":
    main()
