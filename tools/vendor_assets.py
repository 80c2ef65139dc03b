"""Make tools/slides_assets again, the scripts and fonts with which slides open without a network.

`python -m tools.vendor_assets` needs npm and its network; it packs each package, checks its sha256 and keeps what the
slides use. The result is committed, so only a new version needs this program.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

TARGET = Path(__file__).resolve().parent / "slides_assets"


@dataclass(frozen=True)
class Package:
    """An npm package, its place under slides_assets, and patterns of the files that are kept, in the package's tree."""

    name: str
    version: str
    licence: str
    sha256: str
    folder: str
    keep: tuple[str, ...]
    use: str


PACKAGES = (
    Package(
        "reveal.js",
        "5.2.1",
        "MIT (LICENSE); the font Source Sans Pro: SIL OFL 1.1 (its LICENSE)",
        "359b575dd51bbda32f89b2fd4c7dc46ad7389a805572158916c29252f7a27333",
        "reveal.js",
        (
            "LICENSE",
            "dist/reveal.js",
            "dist/reveal.css",
            "dist/theme/white.css",
            "dist/theme/fonts/source-sans-pro/*.css",
            "dist/theme/fonts/source-sans-pro/*.woff",
            "dist/theme/fonts/source-sans-pro/LICENSE",
            "plugin/notes/notes.js",
        ),
        "the slides and the speaker's view",
    ),
    Package(
        "mathjax",
        "2.7.9",
        "Apache-2.0 (LICENSE)",
        "7131e739848edc14aa661a5516995866b81a477fab8b039d7cc324930e71f786",
        "mathjax",
        (
            "LICENSE",
            "MathJax.js",
            "config/TeX-AMS_CHTML-full.js",
            "extensions/*.js",
            "extensions/a11y/accessibility-menu.js",
            "extensions/TeX/*",
            "jax/element/mml/*.js",
            "jax/element/mml/optable/*.js",
            "jax/input/TeX/*",
            "jax/output/CommonHTML/*.js",
            "jax/output/CommonHTML/autoload/*.js",
            "jax/output/CommonHTML/fonts/TeX/*.js",
            "fonts/HTML-CSS/TeX/woff/*",
        ),
        "formulas: TeX input, CommonHTML output; nbconvert's templates speak to version 2",
    ),
    Package(
        "requirejs",
        "2.3.7",
        "MIT (named in the file's head)",
        "31f3330c978fb28684622fe71165dc946432cf0210b2ea8a1ca0233e70f2737d",
        "requirejs",
        ("require.js",),
        "loads reveal.js and the widget manager",
    ),
    Package(
        "jquery",
        "3.7.1",
        "MIT (LICENSE.txt)",
        "68a9f787516da47c680e09c187bcbac4536b6f85d90eb882844e12919e583f53",
        "jquery",
        ("LICENSE.txt", "dist/jquery.min.js"),
        "used by nbconvert's templates",
    ),
    Package(
        "@jupyter-widgets/html-manager",
        "1.0.15",
        "BSD-3-Clause (LICENSE, the one of ipywidgets, whose project it is; embed.js.LICENSE.txt for what it bundles)",
        "2b9d65cb7913e1c7d671757a10008b32c9c2448d4429513371e55c07d6107638",
        "html-manager",
        ("dist/embed-amd.js", "dist/*.woff2", "dist/embed.js.LICENSE.txt"),
        "draws ipywidgets from the state stored in a notebook",
    ),
)


def vendor(package: Package, target: Path) -> None:
    """Pack one package with npm and extract what is kept to target/package.folder.

    Raises:
        ValueError: the package is not the one whose hash is written above, or a pattern finds no file.
        subprocess.CalledProcessError: npm failed; its own message is on stderr.
    """
    with tempfile.TemporaryDirectory() as scratch:
        command = [shutil.which("npm") or "npm", "pack", "--silent", f"{package.name}@{package.version}"]
        packed = subprocess.run(command, cwd=scratch, check=True, stdout=subprocess.PIPE, text=True)
        archive = Path(scratch, packed.stdout.split()[-1])
        found = hashlib.sha256(archive.read_bytes()).hexdigest()
        if found != package.sha256:
            raise ValueError(f"{package.name} {package.version} has sha256 {found}, expected {package.sha256}.")
        unused = set(package.keep)
        with tarfile.open(archive) as tar:
            for member in tar:
                name = member.name.partition("/")[2]
                patterns = {pattern for pattern in package.keep if PurePosixPath(f"/{name}").match(f"/{pattern}")}
                if not member.isfile() or not patterns:
                    continue
                unused -= patterns
                path = target / package.folder / name
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(tar.extractfile(member).read())
    if unused:
        raise ValueError(f"{package.name} {package.version} has no file like {', '.join(sorted(unused))}.")


def readme() -> str:
    """The table of origin and licence that lies beside the files."""
    rows = "\n".join(
        f"| `{p.folder}/` | {p.name} {p.version} | {p.use} | {p.licence} | `{p.sha256}` |" for p in PACKAGES
    )
    return (
        "# Scripts and fonts of the exported slides and pages\n\n"
        "Unchanged files of npm packages, made by `python -m tools.vendor_assets`; only what the slides use is kept. "
        "The sha256 is that of the package's tarball, as `npm pack` gives it.\n\n"
        "| folder | package | for | licence | sha256 |\n| --- | --- | --- | --- | --- |\n" + rows + "\n"
    )


def main() -> int:
    """Replace tools/slides_assets by a fresh copy, or leave it as it was and say why; return the exit code."""
    fresh, old = TARGET.with_name(".slides_assets.tmp"), TARGET.with_name(".slides_assets.old")
    shutil.rmtree(fresh, ignore_errors=True)
    try:
        for package in PACKAGES:
            vendor(package, fresh)
        licence = next(
            file for file in importlib.metadata.files("ipywidgets") if file.name == "LICENSE"
        )  # the npm package has none
        (fresh / "html-manager" / "LICENSE").write_bytes(licence.read_binary())
        (fresh / "README.md").write_text(readme(), encoding="utf-8")
        if TARGET.exists():
            os.replace(TARGET, old)
        os.replace(fresh, TARGET)
    except FileNotFoundError:
        print("npm was not found: install Node.js, whose part it is.", file=sys.stderr)
        return 1
    except (ValueError, subprocess.CalledProcessError) as error:
        print(error, file=sys.stderr)
        return 1
    finally:
        shutil.rmtree(fresh, ignore_errors=True)
        shutil.rmtree(old, ignore_errors=True)
    size = sum(path.stat().st_size for path in TARGET.rglob("*") if path.is_file())
    print(f"{TARGET.name}: {size / 1e6:.1f} MB")
    return 0


if __name__ == "__main__":
    sys.exit(main())
