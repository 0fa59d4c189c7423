"""``python -m lmerbridge``: the command line, where its script is not on the path."""

from lmerbridge.cli import main

if __name__ == "__main__":
    main()
