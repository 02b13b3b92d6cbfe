"""`python -m cxr` and the `cxr` command."""

from cxr.cli.main import main

if __name__ == "__main__":
    main()
