"""How one cloud-config joins those before it: https://cloudinit.readthedocs.io/en/latest/reference/merging.html

A part says by `merge_how` (or `merge_type`), or in a MIME header, how it is to be joined:
`list(append)+dict(recurse_array)+str()`. Without that its keys take the place of earlier ones.
"""

import re

DEFAULT = "dict(replace)+list()+str()"
HOW = re.compile(r"([a-z_]\w*)\((.*)\)")


def rules(how):
    """By kind of value: the options of its merger, of the text above or the longer form `[{name, settings}]`."""
    found = {}
    for entry in how.split("+") if isinstance(how, str) else how or []:
        if isinstance(entry, str):
            match = HOW.fullmatch(entry.strip().lower())
            if not match:
                if not entry.strip():
                    continue
                raise ValueError(f"merge_how: {entry!r} is not of the form list(append)")
            name, options = match[1], match[2].split(",")
        elif isinstance(entry, dict):
            name, options = entry["name"], entry.get("settings") or []
        else:
            name, options = entry[0], entry[1:]
        if name not in ("dict", "list", "str"):
            raise ValueError(f"merge_how: there is no merger {name!r}")
        found.setdefault(name, {str(option).strip().lower() for option in options} - {""})
    return found


def merged(old, new, how):
    """The value that `new` makes of `old`; `how` as `rules` gives it."""
    kind = next((name for name, kind in (("dict", dict), ("list", list), ("str", str)) if isinstance(old, kind)), None)
    if kind not in how:
        return old
    return {"dict": of_mappings, "list": of_lists, "str": of_texts}[kind](old, new, how)


def of_mappings(old, new, how):
    if not isinstance(new, dict):
        return old
    options, result = how["dict"], dict(old)
    for key, value in new.items():
        if key in result and value is None and "allow_delete" in options:
            del result[key]
        elif key not in result or "replace" in options:
            result[key] = value
        elif goes_into(value, options | {"recurse_dict"}):
            result[key] = merged(result[key], value, how)
    return result


def of_lists(old, new, how):
    options = how["list"]
    if options & {"append", "prepend", "no_replace"} and not isinstance(new, list):
        raise ValueError(f"merge_how: {new!r} is no list, which it was to be joined to")
    if "append" in options:
        return old + new
    if "prepend" in options:
        return new + old
    if "no_replace" in options:
        return old
    if not isinstance(new, list):
        return new
    both = [merged(a, b, how) if goes_into(b, options) else b for a, b in zip(old, new)]
    return both + old[len(both) :]


def of_texts(old, new, how):
    return old + new if "append" in how["str"] and isinstance(new, str) else new


def goes_into(value, options):
    """Whether the two values of one place are joined instead of chosen between."""
    wanted = {list: {"recurse_array", "recurse_list"}, str: {"recurse_str"}, dict: {"recurse_dict"}}
    return bool(options & wanted.get(type(value), set()))
