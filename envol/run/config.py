"""Every setting of an installation, in one documented table.

Read once, from ``envol.toml`` in the data directory and from ``ENVOL_*`` (which wins), checked
whole, and passed down. Nothing else in Envol looks at the environment, except ``DATABASE_URL``,
which is read here too.
"""

from __future__ import annotations

import os
import secrets
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from functools import lru_cache
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit


class ConfigError(Exception):
    """A setting cannot be used; the sentence names it and says what it may be."""


def setting(default: Any, about: str, *, unit: str = "", check: Callable[[Any], str | None] | None = None) -> Any:
    return field(default=default, metadata={"about": about, "unit": unit, "check": check})


def _route(value: str) -> str | None:
    return None if value in {"local", "smart_host", "direct"} else "must be local, smart_host or direct"


def _url(value: str) -> str | None:
    parts = urlsplit(value)
    if value and (parts.scheme not in {"http", "https"} or not parts.hostname or parts.path.strip("/")):
        return "must be an address such as https://mail.example.org, without a path"
    return None


def _networks(value: str) -> str | None:
    try:
        networks(value)
    except ValueError:
        return "must be addresses or networks such as 127.0.0.1, 10.0.0.0/8, with a comma between"
    return None


def networks(value: str) -> list[IPv4Network | IPv6Network]:
    """The networks of a list such as ``127.0.0.1, 10.0.0.0/8``."""
    return [ip_network(part) for part in value.replace(",", " ").split()]


def _zones(value: str) -> str | None:
    named = [part.removeprefix("domain:") for part in value.replace(",", " ").split()]
    if all("." in name and name.replace(".", "").replace("-", "").isalnum() for name in named):
        return None
    return "must be zones such as zen.example.org, domain:dbl.example.org, with a comma between"


def _clickhouse(value: str) -> str | None:
    scheme, _, rest = value.partition("://")
    if value and (scheme not in {"clickhouse", "clickhouses", "chdb"} or not rest):
        return "must be an address such as clickhouse://user:password@host:8123/envol"
    return None


def _word(value: str) -> str | None:
    return None if not value or value.replace("_", "").isalnum() else "must be letters, digits and underscores"


def listeners(value: str) -> list[tuple[str, int, bool]]:
    """(host, port, TLS from the first octet?) of a list such as ``0.0.0.0:587, 0.0.0.0:465, tls:127.0.0.1:2465``."""
    found = []
    for part in value.replace(",", " ").split():
        host, port = split_address(part.removeprefix("tls:"), "submission")
        found.append((host, port, port == 465 or part.startswith("tls:")))
    return found


def _listeners(value: str) -> str | None:
    try:
        listeners(value)
    except ConfigError:
        return "must be HOST:PORT, several with a comma between; tls: in front (or port 465) for TLS from the start"
    return None


def _sources(value: str) -> str | None:
    from envol.outbound import egress

    try:
        egress.parse(value)
    except ValueError as error:
        return str(error)
    return None


def _address(value: str) -> str | None:
    try:
        ip_address(value or "::1")
    except ValueError:
        return "must be an address such as 127.0.0.1"
    return None


def _mailbox(value: str) -> str | None:
    return None if not value or value.count("@") == 1 else "must be an address such as dpo@example.org"


def _token(value: str) -> str | None:
    return None if not value or len(value) >= 16 else "must be at least 16 characters: openssl rand -hex 16 makes one"


def _positive(value: int) -> str | None:
    return None if value > 0 else "must be more than 0"


def _not_negative(value: int) -> str | None:
    return None if value >= 0 else "must be 0 or more"


@dataclass(frozen=True, slots=True)
class Config:
    """The settings of one installation; names are those of ``envol.toml``."""

    data: Path = setting(Path("envol-data"), "Directory of everything that must be kept.")
    database_url: str = setting("", "PostgreSQL 15 or newer; empty: the embedded one.")
    public_url: str = setting("", "Address that people and links see; empty: http://localhost:PORT.", check=_url)
    http: str = setting("127.0.0.1:8025", "Where pages, API, links and pixels listen.")
    inbox: str = setting("127.0.0.1:0", "Where the local route's SMTP inbox listens (0: any free port).")
    submission: str = setting(
        "",
        "Where programs hand in mail by SMTP: HOST:PORT, several with a comma between; port 465, or tls: in front,"
        " speaks TLS from the first octet; empty: nowhere.",
        check=_listeners,
    )
    inbound: str = setting(
        "",
        "Where bounces and complaints come home by SMTP (the MX): HOST:PORT, several with a comma; empty: nowhere.",
        check=_listeners,
    )
    smtp_cert: str = setting("", "PEM file of the certificate of SMTP; empty: tls_cert, else one that signs itself.")
    smtp_key: str = setting("", "PEM file of its key.")
    tls_cert: str = setting("", "PEM file of a certificate, when no proxy stands in front.")
    tls_key: str = setting("", "PEM file of its key.")
    insecure: bool = setting(False, "Allow a non-loopback address without TLS (a proxy encrypts).")
    proxies: str = setting(
        "",
        "Addresses or networks of the reverse proxies in front, whose X-Forwarded-For is believed; empty: none.",
        check=_networks,
    )
    route: str = setting(
        "local", "local: captured at /inbox; smart_host: through a relay; direct: to the MX.", check=_route
    )
    smart_host: str = setting("", "HOST:PORT of the relay of route smart_host.")
    smart_host_user: str = setting("", "User name at the relay.")
    smart_host_password: str = setting("", "Password at the relay.")
    helo_name: str = setting("", "Name given at EHLO; empty: the machine's full name.")
    sources: str = setting(
        "",
        "Addresses that mail leaves from on the direct route, with a semicolon between: ADDRESS (or *), its name at"
        " EHLO (or -), then rules: transactional, marketing, lists, workspace=NUMBER, receiver=NAME, warm; empty: the"
        " system picks.",
        check=_sources,
    )
    resolver: str = setting(
        "",
        "Address of a DNS resolver that checks DNSSEC, over a way you trust; empty: the system's, believed on DNSSEC"
        " only when it stands on this machine.",
        check=_address,
    )
    tls_reports_from: str = setting(
        "",
        "Address of yours that daily TLS reports (RFC 8460) are sent from, of a domain of a workspace; empty: none go.",
    )
    anchor_to: str = setting(
        "",
        "Address that gets, each night, where the ledgers of permissions stand (also in DATA/proof); empty: nobody.",
        check=_mailbox,
    )
    blocklists: str = setting(
        "",
        "Public blocklists asked by DNS four times a day about where we send from: zones with a comma between, domain:"
        " in front of those that list domains; empty: nobody is asked.",
        check=_zones,
    )
    couriers: int = setting(0, "Courier processes, with two database connections each; 0: one per core, five at most.")
    submission_processes: int = setting(
        1,
        "Processes that take submitted mail, with two database connections each; more where cores are idle.",
        check=_positive,
    )
    courier_connections: int = setting(20, "SMTP connections of one courier.", check=_positive)
    courier_threads: int = setting(
        1, "Signing threads of one courier; more than one helps only where cores are idle.", check=_positive
    )
    worker_jobs: int = setting(2, "Jobs that one worker runs at once.", check=_positive)
    pool_http: int = setting(8, "Database connections of the http process.", check=_positive)
    pool_worker: int = setting(
        8,
        "Database connections of the worker: two for clock and webhooks, two a job, the rest for the queue.",
        check=_positive,
    )
    lease_seconds: int = setting(900, "How long a courier may hold what it leased.", unit="s", check=_positive)
    dialogue_days: int = setting(
        7, "How long the dialogues with other hosts are kept, without addresses; 0: not at all.", unit="days"
    )
    export_approval: int = setting(
        10_000,
        "Files of more people than this need another owner's yes, where there is another; 0: never.",
        unit="people",
        check=_not_negative,
    )
    event_months: int = setting(13, "How long single opens and clicks are kept.", unit="months", check=_positive)
    columns_from: int = setting(
        20_000, "People from which a workspace has columns, which count audiences in milliseconds.", check=_positive
    )
    clickhouse: str = setting(
        "",
        "A ClickHouse for bases beyond one machine: clickhouse://USER:PASSWORD@HOST:PORT/DATABASE, clickhouses:// with"
        " TLS; empty: none.",
        check=_clickhouse,
    )
    clickhouse_cluster: str = setting("", "Name of the cluster, when that ClickHouse is one.", check=_word)
    take_back: int = setting(-1, "Seconds to take a sending back; -1: as the workspace says.", unit="s")
    metrics_token: str = setting(
        "", "Who gives this as bearer token may read /metrics (Prometheus); empty: nobody may.", check=_token
    )
    rspamd: str = setting(
        "",
        "Address of an Rspamd that is asked about each message of programs as well, such as http://127.0.0.1:11333;"
        " empty: none.",
        check=_url,
    )
    webhooks_inside: bool = setting(
        False, "Let webhooks lead into your own network, and there without TLS: to programs that run beside Envol."
    )
    least_free_mib: int = setting(
        2048, "With less room on the disk (or a twentieth of it) nothing new is accepted; 0: never refuse.", unit="MiB"
    )
    log_json: bool = setting(False, "One JSON object a line instead of readable text.")
    log_level: str = setting("INFO", "DEBUG, INFO, WARNING or ERROR; addresses never appear at INFO.")
    secret: str = setting("", "Master secret in hex; empty: kept in DATA/secret, made at first start.")
    debug: bool = setting(False, "Developers only: tracebacks in pages, /styleguide.")

    @property
    def http_host(self) -> str:
        return split_address(self.http, "http")[0]

    @property
    def http_port(self) -> int:
        return split_address(self.http, "http")[1]

    @property
    def submission_listeners(self) -> list[tuple[str, int, bool]]:
        """(host, port, TLS from the first octet?) of each."""
        return listeners(self.submission)

    @property
    def inbound_listeners(self) -> list[tuple[str, int, bool]]:
        """(host, port, no matter) of each: an MX speaks in clear until STARTTLS."""
        return listeners(self.inbound)

    @property
    def proxy_networks(self) -> list[IPv4Network | IPv6Network]:
        return networks(self.proxies)

    @property
    def queue_connections(self) -> int:
        """What is left of the worker's connections for the queue of jobs."""
        return self.pool_worker - 2 - 2 * self.worker_jobs

    @property
    def base_url(self) -> str:
        """What links are made of. Loopback prints ``localhost``: passkeys refuse IP addresses."""
        if self.public_url:
            return self.public_url.rstrip("/")
        scheme = "https" if self.tls_cert else "http"
        host = self.http_host
        if host in {"127.0.0.1", "::1", "0.0.0.0", "::", ""}:  # noqa: S104
            host = "localhost"
        return f"{scheme}://{host}:{self.http_port}"

    @property
    def secret_bytes(self) -> bytes:
        return bytes.fromhex(self.secret)


@lru_cache(maxsize=64)  # asked for each message by what its links are made of
def split_address(value: str, name: str) -> tuple[str, int]:
    """``HOST:PORT`` or ``[::1]:PORT`` → (host, port)."""
    host, _, port = value.rpartition(":")
    if not port.isdigit() or int(port) > 65535 or not host:
        raise ConfigError(f"{name}: {value!r} must be HOST:PORT, for example 127.0.0.1:8025.")
    return host.strip("[]"), int(port)


def _convert(name: str, kind: str, value: Any) -> Any:
    try:
        match kind:
            case "bool":
                if isinstance(value, bool):
                    return value
                return {
                    "1": True,
                    "true": True,
                    "yes": True,
                    "0": False,
                    "false": False,
                    "no": False,
                    "": False,
                }[str(value).strip().lower()]
            case "int":
                return int(value)
            case "Path":
                return Path(value)
            case _:
                return str(value)
    except (KeyError, ValueError):
        what = {"bool": "true or false", "int": "a whole number"}.get(kind, "text")
        raise ConfigError(f"{name} must be {what}, not {value!r}.") from None


def load(data: Path | str | None = None, *, environ: Mapping[str, str] | None = None, **overrides: Any) -> Config:
    """Read, check and return the settings.

    ``data`` and ``overrides`` (from the command line) win over ``ENVOL_*``, which wins over
    ``envol.toml``. Makes the data directory (0700) and its secret when they are missing.
    Raises :class:`ConfigError`.
    """
    env = os.environ if environ is None else environ
    directory = Path(data or env.get("ENVOL_DATA") or "envol-data").absolute()
    kinds = {f.name: str(f.type) for f in fields(Config)}
    values: dict[str, Any] = {"data": directory}
    file = directory / "envol.toml"
    if file.exists():
        try:
            written = tomllib.loads(file.read_text("utf-8"))
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise ConfigError(f"{file} cannot be read: {error}.") from None
        for name, value in written.items():
            if name not in kinds or name == "data":
                raise ConfigError(f"{file}: there is no setting {name!r}. `envol settings` lists them all.")
            values[name] = _convert(name, kinds[name], value)
    for name, kind in kinds.items():
        key = "DATABASE_URL" if name == "database_url" else f"ENVOL_{name.upper()}"
        if name != "data" and env.get(key):
            values[name] = _convert(key, kind, env[key])
    values.update({k: v for k, v in overrides.items() if v is not None})
    for f in fields(Config):
        check = f.metadata["check"]
        if check and f.name in values and (problem := check(values[f.name])):
            raise ConfigError(f"{f.name} = {values[f.name]!r}: {problem}.")
    if not values.get("secret"):
        values["secret"] = _secret(directory)
    try:
        if len(bytes.fromhex(values["secret"])) < 32:
            raise ValueError
    except ValueError:
        raise ConfigError("secret must be at least 64 hexadecimal digits (32 bytes).") from None
    config = Config(**values)
    split_address(config.http, "http")
    if bool(config.smtp_cert) != bool(config.smtp_key):
        raise ConfigError("smtp_cert and smtp_key belong together: name both.")
    if config.queue_connections < 2:
        raise ConfigError(
            f"pool_worker = {config.pool_worker} is too little for worker_jobs = {config.worker_jobs}: "
            f"it needs at least {config.pool_worker + 2 - config.queue_connections}."
        )
    return config


def _secret(directory: Path) -> str:
    """The installation's master secret: made once, 0600, never printed."""
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    file = directory / "secret"
    try:
        fd = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        return file.read_text("ascii").strip()
    with os.fdopen(fd, "w") as out:
        text = secrets.token_hex(32)
        out.write(text + "\n")
        out.flush()
        os.fsync(out.fileno())
    return text


def table() -> list[dict[str, Any]]:
    """The settings for programs: name, default, unit, what it does."""
    return [
        {"setting": f.name, "default": f.default, "unit": f.metadata["unit"], "about": f.metadata["about"]}
        for f in fields(Config)
    ]


def manual() -> str:
    """The table of settings as Markdown, for ``docs/settings.md``."""
    lines = ["| setting | default | what it does |", "| --- | --- | --- |"]
    for f in fields(Config):
        default = f"`{f.default}`" if f.default not in ("", None) else "(empty)"
        unit = f" ({f.metadata['unit']})" if f.metadata["unit"] else ""
        lines.append(f"| `{f.name}` | {default} | {f.metadata['about']}{unit} |")
    return "\n".join(lines) + "\n"
