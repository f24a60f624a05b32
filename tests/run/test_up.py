from __future__ import annotations

import pytest

from envol.run.config import Config, ConfigError
from envol.run.up import refuse_open_doors


@pytest.mark.parametrize("address", ["127.0.0.1:8025", "localhost:8025", "[::1]:8025"])
def test_loopback_needs_no_tls(address: str) -> None:
    refuse_open_doors(Config(http=address))


@pytest.mark.parametrize("address", ["0.0.0.0:8025", "192.0.2.7:8025", "[::]:8025", "mail.example.org:8025"])
def test_beyond_loopback_up_refuses_without_tls(address: str) -> None:
    with pytest.raises(ConfigError, match="no TLS"):
        refuse_open_doors(Config(http=address))
    refuse_open_doors(Config(http=address, insecure=True))
    refuse_open_doors(Config(http=address, tls_cert="c.pem", tls_key="k.pem"))
