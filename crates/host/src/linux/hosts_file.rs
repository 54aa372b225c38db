//! Names of load balancers on the host, as a marked block in `/etc/hosts`.
//!
//! A hosts file is what `curl`, Python and a browser all read without further set-up, and a
//! name with several addresses shows a zone's loss as it would on AWS. Names under
//! `.localhost` were rejected (Python does not resolve them, and they hide zones).
//!
//! Everything outside the block stays byte for byte. The file is replaced by renaming, so
//! that no reader sees half of it; where it is a mount of its own (in a container), which
//! cannot be renamed over, it is written in place.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::net::Ipv4Addr;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::path::{Path, PathBuf};

/// On the first line if the text before the block had no newline of its own at its end.
const ADDED_NEWLINE: &str = " (after a newline of its own)";

/// Maps each name to its addresses, instead of what this cloud mapped before.
pub fn write_block(
    path: &Path,
    cloud: &str,
    entries: &[(String, Vec<Ipv4Addr>)],
) -> io::Result<()> {
    for name in entries.iter().map(|(name, _)| name.as_str()).chain([cloud]) {
        check_name(name)?;
    }
    update(path, |text| {
        Ok(with_block(&without_block(text, cloud)?, cloud, entries))
    })
}

/// Removes this cloud's block; without one the file is not touched.
pub fn remove_block(path: &Path, cloud: &str) -> io::Result<()> {
    update(path, |text| without_block(text, cloud))
}

fn begin(cloud: &str) -> String {
    format!("# BEGIN {cloud}: load balancers of a local cloud, removed when it goes down")
}

fn end(cloud: &str) -> String {
    format!("# END {cloud}")
}

fn with_block(text: &str, cloud: &str, entries: &[(String, Vec<Ipv4Addr>)]) -> String {
    if entries.iter().all(|(_, addresses)| addresses.is_empty()) {
        return text.to_owned();
    }
    let complete = text.is_empty() || text.ends_with('\n');
    let (newline, note) = if complete {
        ("", "")
    } else {
        ("\n", ADDED_NEWLINE)
    };
    let mut new = format!("{text}{newline}{}{note}\n", begin(cloud));
    for (name, addresses) in entries {
        for address in addresses {
            new += &format!("{address} {name}\n");
        }
    }
    new + &end(cloud) + "\n"
}

fn without_block(text: &str, cloud: &str) -> io::Result<String> {
    let (begin, end) = (begin(cloud), end(cloud));
    let mut before = String::new();
    let mut lines = text.split_inclusive('\n');
    for line in lines.by_ref() {
        let Some(note) = line.trim_end().strip_prefix(&begin) else {
            before += line;
            continue;
        };
        if note == ADDED_NEWLINE {
            before.truncate(before.len().saturating_sub(1));
        }
        if !lines.by_ref().any(|line| line.trim_end() == end) {
            // Whatever follows may be the user's.
            let message = format!("the line \"{end}\" is missing");
            return Err(io::Error::new(io::ErrorKind::InvalidData, message));
        }
        // A line that was appended to the block needs the newline.
        let rest: String = lines.collect();
        if note == ADDED_NEWLINE && !rest.is_empty() {
            before.push('\n');
        }
        return Ok(before + &rest);
    }
    Ok(before)
}

fn check_name(name: &str) -> io::Result<()> {
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | '_');
    if !name.is_empty() && name.chars().all(allowed) {
        return Ok(());
    }
    Err(io::Error::new(
        io::ErrorKind::InvalidInput,
        format!("no host name: {name:?}"),
    ))
}

fn update(path: &Path, change: impl Fn(&str) -> io::Result<String>) -> io::Result<()> {
    let wrap = |e: io::Error| io::Error::new(e.kind(), format!("update {}: {e}", path.display()));
    // One that is no UTF-8 is refused rather than rewritten by guess.
    let old = fs::read_to_string(path).map_err(wrap)?;
    let new = change(&old).map_err(wrap)?;
    if new == old {
        Ok(())
    } else {
        replace(path, &new).map_err(wrap)
    }
}

fn replace(path: &Path, text: &str) -> io::Result<()> {
    // A symbolic link is followed: its target is the file.
    let path = fs::canonicalize(path)?;
    match rename_over(&path, text) {
        Ok(()) => Ok(()),
        Err(e)
            if matches!(
                e.raw_os_error(),
                Some(libc::EBUSY | libc::EXDEV | libc::EROFS)
            ) =>
        {
            in_place(&path, text)
        }
        Err(e) => Err(e),
    }
}

fn rename_over(path: &Path, text: &str) -> io::Result<()> {
    let mut new: PathBuf = path.to_owned();
    new.add_extension("nines-new");
    let write = || -> io::Result<()> {
        let old = fs::metadata(path)?;
        let mut file = File::create(&new)?;
        file.write_all(text.as_bytes())?;
        file.set_permissions(fs::Permissions::from_mode(old.mode() & 0o7777))?;
        chown(&new, Some(old.uid()), Some(old.gid()))?;
        file.sync_all()?;
        fs::rename(&new, path)
    };
    let written = write();
    if written.is_err() {
        // What it was written for has failed already; that is the error to tell.
        let _ = fs::remove_file(&new);
    }
    written
}

fn in_place(path: &Path, text: &str) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).truncate(true).open(path)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entries() -> Vec<(String, Vec<Ipv4Addr>)> {
        vec![
            (
                "web-1.elb.amazonaws.com".into(),
                vec![[198, 18, 1, 4].into(), [198, 18, 1, 5].into()],
            ),
            (
                "api-2.elb.amazonaws.com".into(),
                vec![[198, 18, 1, 6].into()],
            ),
        ]
    }

    const BLOCK: &str = "\
# BEGIN nines: load balancers of a local cloud, removed when it goes down
198.18.1.4 web-1.elb.amazonaws.com
198.18.1.5 web-1.elb.amazonaws.com
198.18.1.6 api-2.elb.amazonaws.com
# END nines
";

    #[test]
    fn the_rest_stays_byte_for_byte() {
        for rest in [
            "",
            "127.0.0.1 localhost\n",
            "127.0.0.1 localhost",
            "\n\n",
            "a\r\n# x  \n\n",
            "# END nines\n",
        ] {
            let with = with_block(rest, "nines", &entries());
            assert_eq!(
                without_block(&with, "nines").expect("block"),
                rest,
                "{rest:?}"
            );
            // Another cloud's block is part of the rest.
            let both = with_block(&with, "other", &entries());
            assert_eq!(without_block(&both, "other").expect("block"), with);
            let one = without_block(&both, "nines").expect("block");
            assert_eq!(
                without_block(&one, "other").expect("block").trim_end(),
                rest.trim_end()
            );
        }
        assert_eq!(
            with_block("127.0.0.1 localhost\n", "nines", &entries()),
            format!("127.0.0.1 localhost\n{BLOCK}")
        );
        // What the user wrote below the block stays, on a line of its own.
        let with = with_block("first", "nines", &entries()) + "last\n";
        assert_eq!(
            without_block(&with, "nines").expect("block"),
            "first\nlast\n"
        );
        // Nothing to say is no block.
        assert_eq!(with_block("x\n", "nines", &[]), "x\n");
        assert!(without_block(BLOCK.trim_end_matches("# END nines\n"), "nines").is_err());
    }

    fn directory(name: &str) -> PathBuf {
        let directory =
            std::env::temp_dir().join(format!("nines-hosts-{name}-{}", std::process::id()));
        fs::create_dir_all(&directory).expect("directory");
        directory
    }

    #[test]
    fn a_file_is_replaced_with_its_mode() {
        let directory = directory("replace");
        let file = directory.join("hosts");
        fs::write(&file, "127.0.0.1 localhost\n").expect("written");
        fs::set_permissions(&file, fs::Permissions::from_mode(0o640)).expect("mode");
        write_block(&file, "nines", &entries()).expect("block");
        write_block(&file, "nines", &entries()[..1]).expect("block");
        let text = fs::read_to_string(&file).expect("read");
        assert!(text.contains("web-1") && !text.contains("api-2"), "{text}");
        assert_eq!(fs::metadata(&file).expect("file").mode() & 0o777, 0o640);
        remove_block(&file, "nines").expect("removed");
        assert_eq!(
            fs::read_to_string(&file).expect("read"),
            "127.0.0.1 localhost\n"
        );
        for bad in ["", "a b", "a\nb", "a#"] {
            let entry = [(bad.to_owned(), vec![Ipv4Addr::LOCALHOST])];
            assert!(write_block(&file, "nines", &entry).is_err(), "{bad:?}");
        }
        assert_eq!(
            fs::read_dir(&directory).expect("directory").count(),
            1,
            "no other file"
        );
        assert!(write_block(&directory.join("absent"), "nines", &entries()).is_err());
        fs::remove_dir_all(directory).expect("removed");
    }

    #[test]
    fn a_mounted_file_is_written_in_place() {
        if !nix::unistd::geteuid().is_root() {
            println!("skipped: needs root");
            return;
        }
        let directory = directory("mount");
        let (file, other) = (directory.join("hosts"), directory.join("other"));
        for path in [&file, &other] {
            fs::write(path, "127.0.0.1 localhost\n").expect("written");
        }
        use nix::mount::{MntFlags, MsFlags, mount, umount2};
        mount(
            Some(&other),
            &file,
            None::<&str>,
            MsFlags::MS_BIND,
            None::<&str>,
        )
        .expect("mounted");
        let done =
            write_block(&file, "nines", &entries()).and_then(|()| fs::read_to_string(&other));
        umount2(&file, MntFlags::MNT_DETACH).expect("unmounted");
        assert_eq!(
            done.expect("in place"),
            format!("127.0.0.1 localhost\n{BLOCK}")
        );
        assert_eq!(
            fs::read_dir(&directory).expect("directory").count(),
            2,
            "no other file"
        );
        fs::remove_dir_all(directory).expect("removed");
    }
}
