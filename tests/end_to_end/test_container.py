"""The container image without a container engine: its steps in a fresh folder, without privileges."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import yaml

from sms_router.sandbox.hosting import free_port
from tests.end_to_end.router_process import (
    ACCOUNT,
    PUBLIC,
    REPOSITORY,
    SERVICE,
    TOKEN,
    RouterProcess,
    webhook,
)
from tests.store.private_valkey import PrivateValkey

FOLDER = REPOSITORY / "docs" / "deploying"
WITHOUT_CAPABILITIES = ("setpriv", "--bounding-set=-all", "--inh-caps=-all", "--no-new-privs")
"""Starts a process of root for which file permissions apply as for other users."""

SLOW_HANDLER = """
import asyncio
from pathlib import Path

from sms_router import keyword


@keyword("SLOW")
async def slow():
    Path("{mark}").touch()
    await asyncio.sleep(2)
    return "late but answered"
"""


@dataclass(slots=True)
class Image:
    """The result of a Dockerfile: files below a root folder, and how to start them."""

    root: Path
    directory: str = "/"
    environment: dict[str, str] = field(default_factory=dict)
    user: str = "root"
    health_check: list[str] = field(default_factory=list)
    command: list[str] = field(default_factory=list)

    @property
    def folder(self) -> Path:
        return self.root / self.directory.lstrip("/")

    @property
    def binaries(self) -> Path:
        return self.root / "venv" / "bin"

    def run(self, step: str) -> None:
        """Run a step with the image's Python; ``useradd``, which needs root, is replaced by its folder."""
        if step.startswith("useradd"):
            (self.root / "srv" / ".data").mkdir(parents=True)
            return
        environment = {**os.environ, "PATH": f"{self.binaries}:{os.environ['PATH']}"}
        subprocess.run(step, shell=True, check=True, cwd=self.folder, env=environment, timeout=600)

    def copy(self, words: list[str]) -> None:
        *sources, target = words
        destination = self.folder / target
        for source in sources:
            path = REPOSITORY / source
            if path.is_dir():
                ignored = shutil.ignore_patterns("__pycache__")
                shutil.copytree(path, destination, ignore=ignored)
            else:
                destination.mkdir(parents=True, exist_ok=True)
                shutil.copy(path, destination)


def instructions() -> list[tuple[str, str]]:
    text = (FOLDER / "Dockerfile").read_text()
    lines = [line for line in text.replace("\\\n", " ").splitlines() if line and not line.startswith("#")]
    return [(line.partition(" ")[0], line.partition(" ")[2].strip()) for line in lines]


def build(root: Path) -> Image:
    """Follow the Dockerfile in a fresh folder, with a fresh virtual environment as its Python."""
    subprocess.run([sys.executable, "-m", "venv", str(root / "venv")], check=True, timeout=120)
    image = Image(root)
    for name, value in instructions():
        match name:
            case "WORKDIR":
                image.directory = value
                image.folder.mkdir(parents=True, exist_ok=True)
            case "COPY":
                image.copy(value.split())
            case "RUN":
                image.run(value)
            case "ENV":
                image.environment |= dict(pair.split("=", 1) for pair in value.split())
            case "USER":
                image.user = value
            case "HEALTHCHECK":
                image.health_check = json.loads(value[value.index("CMD") + 3 :])
            case "CMD":
                image.command = json.loads(value)
            case _:
                assert name in {"FROM", "EXPOSE", "VOLUME", "STOPSIGNAL"}
    return image


def make_read_only(folder: Path) -> None:
    for path in (folder, *folder.rglob("*")):
        if not path.is_symlink():
            path.chmod(path.stat().st_mode & ~0o222)


def make_writable(folder: Path) -> None:
    for path in (folder, *folder.rglob("*")):
        if not path.is_symlink():
            path.chmod(path.stat().st_mode | 0o200)


def start(image: Image, router: RouterProcess, private_port: int, redis_url: str) -> None:
    environment = {
        **image.environment,
        "PATH": f"{image.binaries}:/usr/bin:/bin",
        "HOME": "/nonexistent",
        "PORT": str(router.port),
        "PRIVATE_PORT": str(private_port),
        "REDIS_URL": redis_url,
        "TWILIO_ACCOUNT_SID": ACCOUNT,
        "TWILIO_AUTH_TOKEN": TOKEN,
        "TWILIO_MESSAGING_SERVICE_SID": SERVICE,
        "TWILIO_API_BASE_URL": "http://127.0.0.1:9",
        "PUBLIC_URL": PUBLIC,
        "CONSOLE_PASSWORD": "a-long-password",
    }
    command = [str(image.binaries / image.command[0]), *image.command[1:]]
    if os.getuid() == 0:
        command = [*WITHOUT_CAPABILITIES, *command]
    with (router.folder / f"log-{router.port}").open("ab") as log:
        router.process = subprocess.Popen(
            command, cwd=image.folder, env=environment, stdout=log, stderr=log, start_new_session=True
        )
    router.wait_until_serving()


@pytest.mark.slow
async def test_the_image_serves_from_a_read_only_root_and_drains_on_sigterm(
    tmp_path: Path, valkey: PrivateValkey
) -> None:
    image = build(tmp_path / "image")
    assert int(image.user) > 0
    mark = tmp_path / "slow-handler-runs"
    (image.folder / "handlers" / "slow.py").write_text(SLOW_HANDLER.format(mark=mark))
    make_read_only(image.root)
    data = image.folder / ".data"
    data.chmod(0o700)
    router = RouterProcess(tmp_path, valkey.url)
    private_port = free_port()
    try:
        await asyncio.to_thread(start, image, router, private_port, valkey.url)
        assert (await router.deliver(webhook("HOURS"))).status == 200
        check = [word.replace(":9000/", f":{private_port}/") for word in image.health_check]
        health = await asyncio.create_subprocess_exec(image.binaries / check[0], *check[1:])
        assert await health.wait() == 0
        in_progress = asyncio.create_task(router.deliver(webhook("SLOW")))
        while not await asyncio.to_thread(mark.exists):
            await asyncio.sleep(0.01)
        assert await asyncio.to_thread(router.stop) == 0
        assert "late but answered" in (await in_progress).text
        assert any(data.iterdir())
        assert "Read-only" not in router.log
        assert "Permission denied" not in router.log
    finally:
        router.kill()
        await asyncio.to_thread(make_writable, image.root)  # for pytest, which removes it


def test_the_build_context_contains_the_copied_paths() -> None:
    allowed = (FOLDER / "Dockerfile.dockerignore").read_text().splitlines()
    copied = [word for name, value in instructions() if name == "COPY" for word in value.split()[:-1]]
    assert {f"!{path}" for path in copied} == {line for line in allowed if line.startswith("!")}
    assert all((REPOSITORY / path).exists() for path in copied)


def test_the_compose_file_matches_the_image() -> None:
    services = yaml.safe_load((FOLDER / "compose.yaml").read_text())["services"]
    router = services["router"]
    assert (FOLDER / router["build"]["context"]).resolve() == REPOSITORY
    assert (REPOSITORY / router["build"]["dockerfile"]).exists()
    assert router["read_only"] is True
    assert "router-data:/srv/.data" in router["volumes"]
    assert router["depends_on"]["valkey"]["condition"] == "service_healthy"
    assert "noeviction" in services["valkey"]["command"]


def test_the_kubernetes_manifest_matches_the_image() -> None:
    manifests = list(yaml.safe_load_all((FOLDER / "kubernetes.yaml").read_text()))
    assert [manifest["kind"] for manifest in manifests] == ["Deployment", "Service", "PodDisruptionBudget"]
    pod = manifests[0]["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    (user,) = (value for name, value in instructions() if name == "USER")
    assert pod["securityContext"]["runAsUser"] == int(user)
    assert container["securityContext"]["readOnlyRootFilesystem"] is True
    assert {mount["mountPath"] for mount in container["volumeMounts"]} == {"/srv/.data", "/tmp"}
    ports = {port["name"]: port["containerPort"] for port in container["ports"]}
    (exposed,) = (value for name, value in instructions() if name == "EXPOSE")
    assert set(ports.values()) == {int(port) for port in exposed.split()}
    for probe in ("startupProbe", "livenessProbe", "readinessProbe"):
        assert container[probe]["httpGet"] == {"path": "/healthz", "port": "private"}
    pause = int(container["lifecycle"]["preStop"]["exec"]["command"][1])
    assert pod["terminationGracePeriodSeconds"] > pause + 15
    assert manifests[1]["spec"]["ports"][0]["targetPort"] == "webhooks"
