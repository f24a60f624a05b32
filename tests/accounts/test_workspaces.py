from __future__ import annotations

import pytest
from cryptography.exceptions import InvalidTag

from envol.accounts import jobs
from envol.accounts.keys import seal, unseal
from envol.accounts.models import ApiKey, Job, Workspace
from envol.accounts.workspaces import address_digest, check_api_key, create_api_key, create_workspace


def test_a_key_opens_with_its_secret_only_and_the_secret_is_not_kept(workspace: Workspace) -> None:
    new = create_api_key(workspace, "boutique")
    found = check_api_key(new.key, new.secret)
    assert found is not None and found.workspace_id == workspace.id
    assert check_api_key(new.key, new.secret[:-1] + "x") is None
    assert check_api_key("0" * 32, new.secret) is None
    row = ApiKey.objects.get(public_id=new.key)
    assert new.secret.encode() not in bytes(row.secret_sha256)


def test_two_workspaces_digest_the_same_address_differently(workspace: Workspace) -> None:
    other = create_workspace(workspace.name + "-b", title="Other")
    assert address_digest(workspace.id, "zoe@lecteurs.example") != address_digest(other.id, "zoe@lecteurs.example")


def test_what_is_sealed_for_one_purpose_does_not_open_for_another() -> None:
    box = seal(b"private", "dkim")
    assert unseal(box, "dkim") == b"private"
    with pytest.raises(InvalidTag):
        unseal(box, "digest")


def test_a_job_that_is_asked_to_stop_ends_as_cancelled(workspace: Workspace) -> None:
    job = Job.objects.create(workspace=workspace, kind="import")
    with jobs.Progress(job.id, every=0) as progress:
        progress.at(1, 10)
        assert jobs.cancel(job.id)
        progress.at(2)
        raise AssertionError("the second step must not return")
    job.refresh_from_db()
    assert (job.state, job.done, job.total) == ("cancelled", 2, 10)
