"""`python -m peerage` is `peerage`."""

from peerage.cli.main import main

if __name__ == "__main__":
    main()
