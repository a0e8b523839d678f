"""One living demo for all tests that ask it, which are one group of pytest-xdist's."""

from collections.abc import Iterator

import pytest

from tests.deploy.living import Living, living


@pytest.fixture(scope="package")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Living]:
    """Up and in trouble: only to be asked. Gone with the last of them: it keeps half a processor busy."""
    with living(tmp_path_factory.mktemp("living")) as found:
        yield found
