"""Check a built site: links within it lead somewhere, and no page fetches anything from outside.

python scripts/check_site.py FOLDER
"""

from __future__ import annotations

import re
import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

FETCHED = {("script", "src"), ("img", "src"), ("iframe", "src"), ("source", "src"), ("link", "href")}
"""What a browser loads by itself; links that a person follows may lead outside."""
_NOT_LOADED = {"canonical", "next", "prev", "search", "index", "author", "copyright", "alternate"}


class Page(HTMLParser):
    """A page's links, what it loads, and the places in it that links can lead to."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.links: list[str] = []
        self.loads: list[str] = []
        self.places: set[str] = {""}
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note what a tag links to, loads and names."""
        told = {name: value or "" for name, value in attrs}
        self.places |= {told[name] for name in ("id", "name") if name in told}
        if tag == "a" and "href" in told:
            self.links.append(told["href"])
        for name, value in told.items():
            if (tag, name) in FETCHED and not _NOT_LOADED & set(told.get("rel", "").split()):
                self.loads.append(value)


def problems(site: Path) -> list[str]:
    """Return what is wrong with a site, one line each."""
    pages = {path.resolve(): Page(path) for path in sorted(site.rglob("*.html"))}
    found = []
    for path, page in pages.items():
        name = path.relative_to(site.resolve()).as_posix()
        found += [f"{name}: loads {one}" for one in page.loads if urlsplit(one).netloc]
        for link in [*page.links, *page.loads]:
            parts = urlsplit(link)
            if parts.scheme or parts.netloc:
                continue
            target = (path.parent / unquote(parts.path)).resolve() if parts.path else path
            if not target.exists():
                found.append(f"{name}: {link} leads nowhere")
            elif target in pages and unquote(parts.fragment) not in pages[target].places:
                found.append(f"{name}: {link} names no place of that page")
    for style in sorted(site.rglob("*.css")):
        text = style.read_text(encoding="utf-8")
        outside = re.findall(r"(?:url\(|@import)\s*[\"']?((?:https?:)?//[^\"')\s]+)", text)
        found += [f"{style.name}: loads {one}" for one in outside]
    return found


def main() -> None:
    """Print what is wrong; exit code 1 where anything is."""
    found = problems(Path(sys.argv[1]))
    for line in found:
        print(line)
    sys.exit(1 if found else 0)


if __name__ == "__main__":
    main()
