"""Recipes: what goes into an image, and the digest that names the result.

A recipe with a `base` is the base's recipe with its own lists appended and its other members put in
place of the base's.
"""

import hashlib
import json
import os

IMAGES = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))


def load(name, directory=None):
    directory = directory or os.path.join(IMAGES, "recipes")
    path = os.path.join(directory, f"{name}.json")
    if not os.path.exists(path):
        raise SystemExit(f"no recipe {name!r}; there are: {', '.join(names(directory))}")
    with open(path) as file:
        recipe = json.load(file)
    if "base" in recipe:
        merged = load(recipe.pop("base"), directory)
        for key, value in recipe.items():
            merged[key] = merged.get(key, []) + value if isinstance(value, list) else value
        recipe = merged
    return recipe


def names(directory=None):
    entries = os.listdir(directory or os.path.join(IMAGES, "recipes"))
    return sorted(entry.removesuffix(".json") for entry in entries if entry.endswith(".json"))


def digest(recipe, *trees):
    """Changes with the recipe and with every file that goes into the image or steers its making."""
    state = hashlib.sha256(json.dumps(recipe, sort_keys=True).encode())
    for tree in trees:
        for path in sorted(files(tree)):
            with open(path, "rb") as file:
                content = file.read()
            mode = os.stat(path).st_mode & 0o111
            state.update(f"{os.path.relpath(path, IMAGES)} {mode} {len(content)}\n".encode())
            state.update(content)
    return state.hexdigest()[:16]


def files(tree):
    if os.path.isfile(tree):
        yield tree
    for directory, subdirectories, names in os.walk(tree):
        subdirectories[:] = [name for name in subdirectories if name != "__pycache__"]
        for name in names:
            yield os.path.join(directory, name)
