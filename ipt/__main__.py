"""`python -m ipt` is the command `ipt`."""

from ipt.cli.main import main

if __name__ == "__main__":
    main()
