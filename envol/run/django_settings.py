"""Django's settings, derived from :mod:`envol.run.config`; nothing here is meant to be edited."""

from __future__ import annotations

import hashlib
import hmac
import os
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from envol.run import config as _config

ENVOL = _config.load()

_ROOT = Path(__file__).resolve().parent.parent
_https = ENVOL.base_url.startswith("https://")

SECRET_KEY = hmac.digest(ENVOL.secret_bytes, b"django", hashlib.sha256).hex()
DEBUG = ENVOL.debug
# Public addresses come from the settings only; the Host header decides nothing but is still checked.
ALLOWED_HOSTS = sorted({urlsplit(ENVOL.base_url).hostname or "localhost", "localhost", "127.0.0.1", "[::1]"})
CSRF_TRUSTED_ORIGINS = [ENVOL.base_url]

INSTALLED_APPS = [
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "allauth",
    "allauth.account",
    "allauth.mfa",
    "django_cotton",
    "procrastinate.contrib.django",
    "envol.accounts",
    "envol.events",
    "envol.consent",
    "envol.contacts",
    "envol.audience",
    "envol.content",
    "envol.outbound",
    "envol.campaigns",
    "envol.collect",
    "envol.insight",
    "envol.api",
    "envol.web",
]

MIDDLEWARE: list[str] = [
    "envol.web.standing.StandingMiddleware",
    "django.middleware.security.SecurityMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "envol.web.language.LanguageMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "allauth.account.middleware.AccountMiddleware",
    "envol.web.safety.SafetyMiddleware",
    "envol.web.once.OnceMiddleware",
]

ROOT_URLCONF = "envol.web.urls"
COTTON_DIR = "components"
FORM_RENDERER = "envol.web.form_renderer.Renderer"
TEMPLATES: list[dict[str, Any]] = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [_ROOT / "web" / "templates", _ROOT / "web"],  # the second holds components/
        "APP_DIRS": True,
        "OPTIONS": {
            "builtins": ["envol.web.templatetags.envol"],
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ],
        },
    }
]


def _database(url: str) -> dict[str, Any]:
    """A libpq URL → Django's dictionary. Everything after ? is handed to libpq untouched."""
    from psycopg.conninfo import conninfo_to_dict

    facts: dict[str, Any] = dict(conninfo_to_dict(url))
    if role := os.environ.get("ENVOL_DB_ROLE"):
        # Set for the http process alone: its sessions begin as the role that row-level security can hold.
        facts["options"] = f"{facts.get('options') or ''} -c role={role}".strip()
    return {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": facts.pop("dbname", "envol"),
        "USER": facts.pop("user", ""),
        "PASSWORD": facts.pop("password", ""),
        "HOST": facts.pop("host", ""),
        "PORT": str(facts.pop("port", "")),
        "OPTIONS": {k: v for k, v in facts.items() if v is not None},
        "CONN_MAX_AGE": 600,
        "CONN_HEALTH_CHECKS": True,
        "TEST": {"NAME": None},
    }


# Commands start the embedded PostgreSQL before Django is set up and put its address into DATABASE_URL.
DATABASES = {"default": _database(ENVOL.database_url or "postgresql:///envol")}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

AUTH_USER_MODEL = "accounts.User"
AUTHENTICATION_BACKENDS = ["allauth.account.auth_backends.AuthenticationBackend"]
PASSWORD_HASHERS = ["django.contrib.auth.hashers.Argon2PasswordHasher"]
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.MinimumLengthValidator", "OPTIONS": {"min_length": 10}},
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
    {"NAME": "django.contrib.auth.password_validation.UserAttributeSimilarityValidator"},
]
LOGIN_URL = "/login/"
LOGIN_REDIRECT_URL = "/"
ACCOUNT_USER_MODEL_USERNAME_FIELD = None
ACCOUNT_LOGIN_METHODS = {"email"}
ACCOUNT_SIGNUP_FIELDS = ["email*", "password1*"]
ACCOUNT_ADAPTER = "envol.web.sign_in.Adapter"
ACCOUNT_EMAIL_VERIFICATION = "none"  # members are invited by an owner; the address is proved by the invitation
ACCOUNT_LOGOUT_REDIRECT_URL = "/login/"
ACCOUNT_SESSION_REMEMBER = None
ACCOUNT_PREVENT_ENUMERATION = "strict"
ACCOUNT_EMAIL_UNKNOWN_ACCOUNTS = False  # else anybody could have us write to a stranger
ACCOUNT_RATE_LIMITS = {"login": "30/m/ip", "login_failed": "10/m/ip,5/5m/key"}
ACCOUNT_DEFAULT_HTTP_PROTOCOL = "https" if _https else "http"
MFA_SUPPORTED_TYPES = ["totp", "recovery_codes", "webauthn"]
MFA_PASSKEY_LOGIN_ENABLED = True
MFA_WEBAUTHN_ALLOW_INSECURE_ORIGIN = not _https  # http://localhost only: passkeys refuse everything else
MFA_TOTP_ISSUER = "Envol"

SESSION_COOKIE_NAME = "__Host-session" if _https else "session"
SESSION_COOKIE_SECURE = _https
SESSION_COOKIE_SAMESITE = "Lax"
CSRF_COOKIE_NAME = "__Host-csrf" if _https else "csrf"
CSRF_COOKIE_SECURE = _https
CSRF_COOKIE_HTTPONLY = True
CSRF_USE_SESSIONS = False
CSRF_FAILURE_VIEW = "envol.web.kept.refused"
SECURE_CONTENT_TYPE_NOSNIFF = True
SECURE_REFERRER_POLICY = "same-origin"
X_FRAME_OPTIONS = "DENY"

LANGUAGE_CODE = "en"
LANGUAGES = [("fr", "Français"), ("en", "English")]
LOCALE_PATHS = [_ROOT / "web" / "locale"]
FORMAT_MODULE_PATH = ["envol.web.formats"]
USE_I18N = True
USE_TZ = True
TIME_ZONE = "UTC"

STATIC_URL = "/static/"
STATICFILES_DIRS = [_ROOT / "web" / "static"]

DATA_UPLOAD_MAX_MEMORY_SIZE = 10 * 1024 * 1024
FILE_UPLOAD_MAX_MEMORY_SIZE = 2 * 1024 * 1024
FILE_UPLOAD_HANDLERS = ["django.core.files.uploadhandler.TemporaryFileUploadHandler"]
DATA_UPLOAD_MAX_NUMBER_FIELDS = 2000

MESSAGE_TAGS = {10: "calm", 20: "calm", 25: "ok", 30: "warn", 40: "bad"}  # levels → classes of a notice

# Mail of allauth (password, codes) goes through our own transactional road, untracked.
EMAIL_BACKEND = "envol.outbound.django_mail.Backend"

LOGGING_CONFIG = None  # envol.run.logs sets structlog up once for every process
