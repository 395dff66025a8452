"""What the environment says of credentials, region and endpoint of an object store.

    s3   AWS_ACCESS_KEY_ID and the other AWS_* variables, the profile AWS_PROFILE of ~/.aws
    gs   GOOGLE_APPLICATION_CREDENTIALS, gcloud's default login, the machine's account on Google's
         machines; STORAGE_EMULATOR_HOST
    az   the AZURE_* variables

obstore reads the variables itself, but not the files of a profile, and it does not say whether
there are credentials at all.

The bucket of PubMed Central is read without credentials and in its own region, whatever the
variables and the profile say; options count.
"""

from __future__ import annotations

import configparser
import json
import os
from collections.abc import Mapping
from pathlib import Path

from pmc2vec.errors import UserError

_PUBLIC_BUCKETS = {"s3://pmc-oa-opendata": {"region": "us-east-1"}}
"""Buckets that everybody may read, and what there is to know of them."""


def environment_defaults(
    scheme: str, root: str, config: Mapping[str, str]
) -> tuple[dict[str, str], bool]:
    """Returns the configuration for what the options leave open, and whether there are credentials.

    Args:
        scheme: `s3`, `gs` or `az`.
        root: of the store, such as `s3://bucket`.
        config: what the options say, in obstore's keys.

    Raises:
        UserError: AWS_PROFILE names a profile that is not there or has no keys.
    """
    if root in _PUBLIC_BUCKETS:
        return {**_s3_endpoint(), **_PUBLIC_BUCKETS[root]}, "access_key_id" in config
    return {"s3": _s3_defaults, "gs": _gs_defaults, "az": _az_defaults}[scheme](config)


def _s3_defaults(config: Mapping[str, str]) -> tuple[dict[str, str], bool]:
    env = os.environ
    profile = _aws_profile()
    defaults: dict[str, str] = {}
    has_keys = "AWS_ACCESS_KEY_ID" in env or "access_key_id" in config
    if not has_keys and "aws_access_key_id" in profile:
        for key in ("access_key_id", "secret_access_key", "session_token"):
            if value := profile.get(f"aws_{key}"):
                defaults[key] = value
    if not {"AWS_REGION", "AWS_DEFAULT_REGION"} & env.keys() and "region" in profile:
        defaults["region"] = profile["region"]
    if endpoint := profile.get("endpoint_url"):
        defaults["endpoint"] = endpoint
    defaults |= _s3_endpoint()
    variables = ("AWS_WEB_IDENTITY_TOKEN_FILE", "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
                 "AWS_CONTAINER_CREDENTIALS_FULL_URI")  # fmt: skip
    has_credentials = has_keys or "access_key_id" in defaults
    return defaults, has_credentials or any(name in env for name in variables)


def _s3_endpoint() -> dict[str, str]:
    """Returns the endpoint that the variables give; empty where they give none."""
    names = ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL", "AWS_ENDPOINT")
    endpoint = next(filter(None, map(os.environ.get, names)), None)
    return {"endpoint": endpoint} if endpoint else {}


def _aws_profile() -> dict[str, str]:
    """Returns the settings of the AWS profile, from both files; empty where there is none.

    Raises:
        UserError: AWS_PROFILE names a profile that is not there or has no keys.
    """
    env = os.environ
    name = env.get("AWS_PROFILE") or env.get("AWS_DEFAULT_PROFILE") or "default"
    settings: dict[str, str] = {}
    files = {
        env.get("AWS_CONFIG_FILE", "~/.aws/config"): f"profile {name}",
        env.get("AWS_SHARED_CREDENTIALS_FILE", "~/.aws/credentials"): name,
    }
    for file, section in files.items():
        parser = configparser.RawConfigParser()
        try:
            parser.read(Path(file).expanduser(), encoding="utf-8")
        except (configparser.Error, UnicodeDecodeError, RuntimeError) as error:
            raise UserError(f"{file}: not a file of AWS profiles ({error})") from error
        for heading in {section, name}:
            if parser.has_section(heading):
                settings |= dict(parser.items(heading))
    if "AWS_PROFILE" in env and "AWS_ACCESS_KEY_ID" not in env:
        if not settings:
            raise UserError(f"AWS_PROFILE: no profile {name!r} in ~/.aws/config or credentials")
        other_logins = {"sso_session", "sso_start_url", "role_arn", "credential_process"}
        if "aws_access_key_id" not in settings and other_logins & settings.keys():
            raise UserError(
                f"AWS_PROFILE: the profile {name!r} has no access key of its own; run "
                f'eval "$(aws configure export-credentials --profile {name} --format env)" first'
            )
    return settings


def _gs_defaults(config: Mapping[str, str]) -> tuple[dict[str, str], bool]:
    env = os.environ
    if host := env.get("STORAGE_EMULATOR_HOST"):
        return _emulator_account(host if "://" in host else f"http://{host}"), True
    keys = ("application_credentials", "service_account", "service_account_key", "bearer_token")
    login = Path("~/.config/gcloud/application_default_credentials.json").expanduser()
    has_credentials = (
        any(key in config for key in keys)
        or any(f"GOOGLE_{name.upper()}" in env for name in (*keys, "service_account_path"))
        or login.is_file()
        or _is_google_machine()
    )
    return {}, has_credentials


def _emulator_account(base_url: str) -> dict[str, str]:
    """Returns the configuration for an emulator, which asks for no login.

    object_store signs what it writes also where requests are to be anonymous. This kind of account
    is its way to write to an emulator.
    """
    account = {"gcs_base_url": base_url, "disable_oauth": True, "client_email": "",
               "private_key": "", "private_key_id": ""}  # fmt: skip
    return {"base_url": base_url, "service_account_key": json.dumps(account)}


def _is_google_machine() -> bool:
    """Tells whether the machine is one of Google's, whose metadata address has its account.

    The file is what google-auth looks at too; it says so without a request that may hang elsewhere.
    """
    try:
        return Path("/sys/class/dmi/id/product_name").read_text().startswith("Google")
    except OSError:
        return False


def _az_defaults(config: Mapping[str, str]) -> tuple[dict[str, str], bool]:
    keys = ("account_key", "sas_key", "token", "client_id", "msi_endpoint", "use_emulator",
            "federated_token_file", "use_azure_cli")  # fmt: skip
    names = ("AZURE_STORAGE_ACCOUNT_KEY", "AZURE_STORAGE_ACCESS_KEY", "AZURE_STORAGE_SAS_KEY",
             "AZURE_STORAGE_SAS_TOKEN", "AZURE_STORAGE_TOKEN", "AZURE_CLIENT_ID",
             "AZURE_STORAGE_CLIENT_ID", "AZURE_STORAGE_USE_EMULATOR", "AZURE_MSI_ENDPOINT",
             "AZURE_IDENTITY_ENDPOINT", "AZURE_FEDERATED_TOKEN_FILE",
             "AZURE_USE_AZURE_CLI")  # fmt: skip
    return {}, any(key in config for key in keys) or any(name in os.environ for name in names)
