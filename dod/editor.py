"""What lets an editor complete, explain and check ``bots.yaml`` offline (design §2.1)."""

import json
import logging
from pathlib import Path

from dod.config.editorschema import editor_schema_text
from dod.config.tags import TAGS
from dod.ownfiles import own, write

log = logging.getLogger(__name__)

# Relative to the folder that the editor has opened: the configuration's.
SETTINGS = {
    "yaml.schemas": {"./config.schema.json": ["bots.yaml", ".bots.yaml"]},
    # Without these every tag is a red error in the editor.
    "yaml.customTags": [f"{tag} scalar" for tag in TAGS],
    # Else the editor first asks two sites of the internet for schemas, and explains nothing until
    # they have answered: never, behind the firewall of an office.
    "yaml.schemaStore.enable": False,
    "yaml.kubernetesCRDStore.enable": False,
    # A completed key brings what it needs, and not every default there is.
    "yaml.disableDefaultProperties": True,
}


def refresh_editor_files(folder: Path) -> None:
    """Write the schema if it differs, and an editor's settings if there are none. Never raises.

    A folder that does not exist is not made; somebody's own settings are never touched.
    """
    if not folder.is_dir():
        return
    try:
        write(folder / "config.schema.json", editor_schema_text().encode())
        _add_settings(folder)
    except OSError as exc:
        # A share mounted read-only is fine: nothing here is needed to run.
        log.info("no files for the editor in %s: %s", folder, exc.strerror or type(exc).__name__)


def _add_settings(folder: Path) -> None:
    inner = folder / ".vscode"
    path = inner / "settings.json"
    if inner.is_symlink() or path.is_symlink() or path.exists():
        return
    if not inner.is_dir():
        inner.mkdir()
        own(inner, folder)
    write(path, (json.dumps(SETTINGS, indent=2) + "\n").encode())
