"""The notifier's configuration: refused as a whole, with the field, when anything in it cannot be."""

from pathlib import Path

import pytest

from services.bus.config import ConfigError
from services.bus.timezones import names
from services.notifier.channels.webhook import webhook_courier
from services.notifier.dispatch.build import check_settings
from services.notifier.settings import Settings, load_settings
from tests.notifier_peers import SECRET

HOOK = '[[webhooks]]\nname = "a"\nsecret_files = ["a.secret"]\n'


def load(tmp_path: Path, text: str) -> Settings:
    (tmp_path / "notifier.toml").write_text(text, encoding="utf-8")
    return load_settings(tmp_path, names())


def test_without_a_file_the_defaults_count_and_there_are_no_channels_but_the_members_own_subjects(
    tmp_path: Path,
) -> None:
    assert load_settings(tmp_path, names()) == Settings(folder=tmp_path)
    assert check_settings(load_settings(tmp_path, names())) == []


def test_paths_are_relative_to_the_file_and_a_secret_is_read_from_its_own(tmp_path: Path) -> None:
    (tmp_path / "a.secret").write_text(f"{SECRET}\n")
    found = load(tmp_path, f'[market]\ntemplates = "texts"\n{HOOK}url = "https://shop.example/hook"\n')
    assert found.market.templates == tmp_path / "texts"
    assert found.secret(found.webhooks[0].secret_files[0]) == SECRET


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("[market]\nquiet = 3", "unknown field `quiet`"),
        ('[market]\nquiet_hours = "late"', "market.quiet_hours: 'late' are no quiet hours"),
        ('[market]\ntimezone = "Mars/Olympus"', "market.timezone: there is no time zone 'Mars/Olympus'"),
        (
            '[market]\nurgent = ["advert"]',
            "'advert' - at `$.market.urgent[0]`: expected one of filled, expired",
        ),
        ('[market]\nurgent = ["invited"]', "invitations are never urgent"),
        ("[market.useful_for_s]\nadvert = 1", "advert"),
        ('[market]\nsince = "yesterday"', "not an RFC 3339 time"),
        ("[http]\nport = 0", "http.port: expected 1 to 65535"),
        (f'{HOOK}url = "https://user:pass@shop.example/"', "webhooks.a.url holds credentials"),
        (f'{HOOK}url = "https://user@shop.example/"', "holds credentials"),
        (f'{HOOK}url = "ftp://shop.example/"', "expected https://host/path"),
        (f'{HOOK}url = "https://shop.example:99999/"', "no valid port"),
        (f'{HOOK}url = "https://shop.example/ x"', "printable ASCII"),
        (f'{HOOK}url = "https://shop.example/#x"', "has a fragment"),
        (f'{HOOK}url = "https://shop.example/"\npurposes = ["advert"]', "expected one of result, invitation"),
        (f'{HOOK}url = "https://a.example/"\n\n{HOOK}url = "https://b.example/"', "or not the only"),
        ('[email]\nhost = "h"\nsender = "a@b.c"\nsender_name = "A\\r\\nBcc: x@y.z"', "headers could be injected"),
        ("[market", "notifier.toml: "),
    ],
)
def test_what_cannot_be_is_refused_with_its_field(tmp_path: Path, text: str, complaint: str) -> None:
    with pytest.raises(ConfigError) as refused:
        load(tmp_path, text)
    assert complaint in str(refused.value)


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "10.1.2.3", "169.254.169.254", "[::1]", "[fe80::1]", "[::ffff:10.0.0.1]"]
)
def test_a_private_or_link_local_endpoint_is_refused_at_start(tmp_path: Path, host: str) -> None:
    (tmp_path / "a.secret").write_text(SECRET)
    found = load(tmp_path, f'{HOOK}url = "http://{host}/hook"')
    with pytest.raises(ConfigError, match="a private, link-local or reserved address"):
        webhook_courier(found.webhooks[0], found)
    allowed = load(tmp_path, f'{HOOK}url = "http://{host}/hook"\nallow_private = true')
    assert webhook_courier(allowed.webhooks[0], allowed).name == "webhook:a"


@pytest.mark.parametrize("secret", ["", "whsec_", "whsec_c2hvcnQ=", "not base64 at all"])
def test_a_secret_that_is_none_is_refused_at_start(tmp_path: Path, secret: str) -> None:
    (tmp_path / "a.secret").write_text(secret)
    found = load(tmp_path, f'{HOOK}url = "https://shop.example/hook"')
    with pytest.raises(ConfigError, match=r"webhooks\.a: a secret is"):
        webhook_courier(found.webhooks[0], found)


def test_a_secret_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    found = load(tmp_path, f'{HOOK}url = "https://shop.example/hook"')
    with pytest.raises(ConfigError, match=r"the secret .*a\.secret cannot be read"):
        webhook_courier(found.webhooks[0], found)
