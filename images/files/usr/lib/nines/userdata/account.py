"""Who may log in: groups, users, passwords, keys, and the SSH server's part in it."""

import os

from .cloudconfig import listed

# What the default user is in, on Debian's own AMIs.
DEFAULT_GROUPS = "adm,audio,cdrom,dialout,dip,floppy,netdev,plugdev,sudo,video"
# Of an entry of `users`: what useradd takes as they are.
OPTIONS = {"gecos": "--comment", "shell": "--shell", "homedir": "--home-dir", "uid": "--uid", "primary_group": "--gid",
           "expiredate": "--expiredate", "inactive": "--inactive", "selinux_user": "--selinux-user"}
FLAGS = {"system": "--system", "no_user_group": "--no-user-group", "no_log_init": "--no-log-init"}
KNOWN = {*OPTIONS, *FLAGS, "name", "default", "groups", "create_groups", "sudo", "ssh_authorized_keys", "lock_passwd", "no_create_home",
         "passwd", "hashed_passwd", "plain_text_passwd"}
HOST_KEYS = ("rsa", "ecdsa", "ed25519")
# What root is told who tries to log in with the default user's key, as cloud-init has it.
NOT_ROOT = ("no-port-forwarding,no-agent-forwarding,no-X11-forwarding,command=\"echo 'Please login as the user \\\"{user}\\\" "
            "rather than the user \\\"root\\\".';echo;sleep 10;exit 142\" ")


def default_user(machine, config):
    """The image's own, or who is named by `user`."""
    family = {"name": machine.family()["user"], "sudo": "ALL=(ALL) NOPASSWD:ALL", "shell": "/bin/bash", "groups": DEFAULT_GROUPS}
    given = config.get("user") or {}
    return family | (given if isinstance(given, dict) else {"name": str(given)})


def users(machine, config, warn=lambda text: None):
    """The entries of `users` in one form each, and the name of the default user if it is among them.

    Several modules ask; one of them has what is no entry told by `warn`.
    """
    given = config.get("users", ["default"])
    if isinstance(given, dict):
        given = [value | {"name": name} if isinstance(value, dict) else name for name, value in given.items() if value]
    entries, default = [], None
    for entry in listed(given or []):
        if not isinstance(entry, (str, dict)) or (isinstance(entry, dict) and not entry.get("name", "default")):
            warn(f"users: {entry!r} names nobody; ignored")
            continue
        for one in entry.split(",") if isinstance(entry, str) else [entry]:
            one = {"name": one.strip()} if isinstance(one, str) else {str(key).replace("-", "_"): value for key, value in one.items()}
            if one.get("name", "default") == "default":
                one = default_user(machine, config) | {key: value for key, value in one.items() if key != "name"}
                default = one["name"]
            entries.append(one)
    if config.get("user") and default is None:
        entries.append(default_user(machine, config))
        default = entries[-1]["name"]
    return entries, default


def stand_in(machine):
    """The image's own default user goes by the name that the image has, for which another's runs."""
    family = machine.family()
    own, name = family.get("stands_in_for"), family["user"]
    if not own or own == name or not exists(machine, "etc/passwd", own) or exists(machine, "etc/passwd", name):
        return
    if exists(machine, "etc/group", own) and not exists(machine, "etc/group", name):
        machine.must_run(["groupmod", "--new-name", name, own])
    machine.must_run(["usermod", "--login", name, "--home", f"/home/{name}", "--move-home", own])
    machine.write("etc/sudoers.d/90-cloud-init-users", f"{name} ALL=(ALL) NOPASSWD:ALL\n", 0o440)


def users_groups(machine, config):
    stand_in(machine)
    given, problems = config.get("groups") or [], []
    for entry in [given] if isinstance(given, dict) else listed(given):
        members = entry if isinstance(entry, dict) else {name.strip(): [] for name in str(entry).split(",")}
        for group, names in members.items():
            try:
                group_with(machine, str(group), [str(name) for name in listed(names or [])])
            except OSError as error:
                problems.append(f"{group}: {error}")
    for entry in users(machine, config, machine.warn)[0]:
        try:
            user(machine, entry)
        except (OSError, ValueError, TypeError) as error:
            problems.append(f"{entry.get('name')}: {error}")
    if problems:
        raise OSError("; ".join(problems))


def group_with(machine, group, members):
    machine.must_run(["groupadd", "--force", group])
    for name in members:
        # One whom `users` makes comes too late, as with cloud-init: `groups` of his entry is the place to say it.
        if exists(machine, "etc/passwd", name):
            machine.must_run(["usermod", "--append", "--groups", group, name])
        else:
            machine.warn(f"groups: there is no user {name} yet to be in {group}; ignored")


def user(machine, entry):
    name = str(entry["name"])
    for key in entry.keys() - KNOWN:
        machine.warn(f"user {name}: {key!r} is not emulated; ignored")
    new = not exists(machine, "etc/passwd", name)
    groups = entry.get("groups") or []
    groups = [str(group).strip() for group in (groups.split(",") if isinstance(groups, str) else groups)]
    if entry.get("create_groups", True):
        for group in [*groups, *([str(entry["primary_group"])] if entry.get("primary_group") else [])]:
            if not exists(machine, "etc/group", group):
                machine.must_run(["groupadd", group])
    if new:
        command = ["useradd", name]
        for key, option in OPTIONS.items():
            command += [option, str(entry[key])] if entry.get(key) is not None else []
        command += [option for key, option in FLAGS.items() if entry.get(key)]
        command += ["--no-create-home"] if entry.get("no_create_home") or entry.get("system") else ["--create-home"]
        machine.must_run(command)
    if groups:
        machine.must_run(["usermod", "--append", "--groups", ",".join(groups), name])
    # Of one who is there already `passwd` changes nothing, as with cloud-init.
    hashed = entry.get("hashed_passwd") or (entry.get("passwd") if new else None)
    if entry.get("plain_text_passwd"):
        machine.must_run(["chpasswd"], input=f"{name}:{entry['plain_text_passwd']}\n")
    if hashed:
        # By its input: arguments are in the log, and everybody sees them while the command runs.
        machine.must_run(["chpasswd", "--encrypted"], input=f"{name}:{hashed}\n")
    # One without a password is locked from the start.
    if entry.get("lock_passwd", True) and (hashed or entry.get("plain_text_passwd")):
        machine.must_run(["passwd", "--quiet", "--lock", name])
    rules = entry.get("sudo")
    if rules and rules is not True:
        lines = "".join(f"{name} {rule}\n" for rule in listed(rules))
        machine.write(f"etc/sudoers.d/90-cloud-init-{name.replace('.', '-')}", lines, 0o440)
    authorize(machine, name, [str(key).strip() for key in listed(entry.get("ssh_authorized_keys") or [])])


def exists(machine, table, name):
    return any(line.split(":")[0] == name for line in (machine.read(table) or "").splitlines())


def ssh(machine, config, metadata_keys):
    """Keys of the default user. The server runs where somebody may log in; elsewhere a connection starts it."""
    for setting in (password_login, host_keys):
        try:
            setting(machine, config)
        except Exception as error:  # whatever is wrong with these, it must not cost the keys to log in with
            machine.warn(f"ssh: {error}; ignored")
    keys = [*metadata_keys, *(str(key).strip() for key in listed(config.get("ssh_authorized_keys") or []))]
    _, default = users(machine, config)
    if keys and default:
        authorize(machine, default, keys)
    if keys and exists(machine, "etc/passwd", "root"):
        own = machine.authorized
        told = NOT_ROOT.format(user=default or "NONE") if config.get("disable_root", True) else ""
        authorize(machine, "root", [told + key for key in keys])
        machine.authorized = own or not told
    if not machine.authorized:
        return
    for kind in ("ed25519", "ecdsa"):
        path = machine.path(f"etc/ssh/ssh_host_{kind}_key")
        if not os.path.exists(path):
            machine.must_run(["ssh-keygen", "-q", "-t", kind, "-N", "", "-f", path])
    if machine.systemd():
        if os.path.lexists(machine.path("etc/systemd/system/sockets.target.wants/ssh.socket")):
            # Else the server would get that socket, and listen nowhere else, whatever its configuration says.
            machine.must_run(["systemctl", "disable", "--quiet", "--now", "ssh.socket"])
        machine.must_run(["systemctl", "enable", "--quiet", "--now", "--no-block", machine.family()["ssh"]])
    else:
        machine.must_run(["/usr/sbin/sshd"])


def password_login(machine, config):
    """`ssh_pwauth`, before the server starts and reads it."""
    wanted = config.get("ssh_pwauth")
    wanted = {"true": True, "yes": True, "on": True, "1": True, "false": False, "no": False, "off": False, "0": False,
              "unchanged": None, "none": None}.get(str(wanted).lower(), wanted)
    if not isinstance(wanted, bool):
        if wanted is not None:
            machine.warn(f"ssh_pwauth: {wanted!r} is neither true nor false; left as it is")
        return
    machine.write("etc/ssh/sshd_config.d/50-cloud-init.conf", f"PasswordAuthentication {'yes' if wanted else 'no'}\n", 0o600)
    machine.authorized = machine.authorized or wanted


def host_keys(machine, config):
    """The server's own keys, where user data brings them: its fingerprint is then the same after each launch."""
    given = config.get("ssh_keys") or {}
    if not isinstance(given, dict):
        raise ValueError("ssh_keys must be a mapping")
    for name, key in given.items():
        kind, _, half = str(name).partition("_")
        if kind not in HOST_KEYS or half not in ("private", "public", "certificate"):
            machine.warn(f"ssh_keys: {name!r} is not emulated; ignored")
            continue
        end, mode = {"private": ("", 0o600), "public": (".pub", 0o644), "certificate": ("-cert.pub", 0o644)}[half]
        path = f"etc/ssh/ssh_host_{kind}_key{end}"
        machine.write(path, str(key).rstrip() + "\n", mode)
        if half == "certificate":
            machine.write(f"etc/ssh/sshd_config.d/51-cloud-init-{kind}.conf", f"HostCertificate /{path}\n", 0o600)


def told_host_keys(machine):
    """The blocks of the console that people read a new machine's host keys from."""
    files = [f"etc/ssh/ssh_host_{kind}_key.pub" for kind in HOST_KEYS]
    files = [file for file in files if os.path.exists(machine.path(file))]
    if not machine.authorized or not files:
        return
    machine.say("ec2: -----BEGIN SSH HOST KEY FINGERPRINTS-----")
    for file in files:
        machine.run(["ssh-keygen", "-l", "-f", machine.path(file)])
    machine.say("ec2: -----END SSH HOST KEY FINGERPRINTS-----\n-----BEGIN SSH HOST KEY KEYS-----")
    for file in files:
        machine.say((machine.read(file) or "").strip())
    machine.say("-----END SSH HOST KEY KEYS-----")


def authorize(machine, name, keys):
    if not keys:
        return
    accounts = (line.split(":") for line in (machine.read("etc/passwd") or "").splitlines())
    account = next((fields for fields in accounts if fields[0] == name and len(fields) > 5), None)
    if account is None:
        raise ValueError(f"there is no user {name} for the keys")
    path = os.path.join(account[5], ".ssh/authorized_keys")
    present = (machine.read(path) or "").splitlines()
    present += [key for key in keys if key not in present]
    machine.write(path, "\n".join(present) + "\n", 0o600)
    os.chmod(os.path.dirname(machine.path(path)), 0o700)
    for owned in (machine.path(path), os.path.dirname(machine.path(path))):
        os.chown(owned, int(account[2]), int(account[3]))
    machine.authorized = True


# Letters and digits that are told apart at a glance, as cloud-init's.
LEGIBLE = "abcdefghijkmnpqrstuvwxyzABCDEFGHJKMNPQRSTUVWXYZ23456789"


def set_passwords(machine, config):
    """Of `chpasswd`, as `users: [{name, password, type}]` or lines `name:password`, or `password` of the default user."""
    wanted = config.get("chpasswd") or {}
    old = wanted.get("list") or []
    entries = []
    for entry in listed(wanted.get("users") or []):
        if isinstance(entry, dict) and entry.get("name"):
            entries.append((str(entry["name"]), str(entry.get("password", "RANDOM")), entry.get("type", "hash")))
        else:
            machine.warn("chpasswd: an entry of `users` names nobody; ignored")
    for line in old.splitlines() if isinstance(old, str) else listed(old):
        name, _, password = str(line).partition(":")
        kind = "RANDOM" if password in ("R", "RANDOM") else "hash" if password.startswith("$") else "text"
        entries.append((name, password, kind))
    if not entries and config.get("password"):
        _, default = users(machine, config)
        if default:
            entries = [(default, str(config["password"]), "text")]
        else:
            machine.warn("password: there is no default user to change it of")
    import secrets  # few user data need it

    told, lines = [], {"text": [], "hash": []}
    for name, password, kind in entries:
        if kind == "RANDOM":
            password, kind = "".join(secrets.choice(LEGIBLE) for _ in range(20)), "text"
            told.append(f"{name}:{password}")
        if kind not in lines:
            raise ValueError(f"chpasswd: the type of {name} must be text, hash or RANDOM, not {kind!r}")
        lines[kind].append(f"{name}:{password}")
    for kind, options in (("text", []), ("hash", ["--encrypted"])):
        if lines[kind]:
            machine.must_run(["chpasswd", *options], input="\n".join(lines[kind]) + "\n")
    if told:
        machine.show("Set the following 'random' passwords\n" + "\n".join(told))
    if wanted.get("expire", True):
        for name, _, _ in entries:
            machine.must_run(["passwd", "--quiet", "--expire", name])
