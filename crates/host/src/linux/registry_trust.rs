//! The certificate authority of image registries, where Docker, podman and skopeo on the host look
//! for it: a directory per registry, read anew at each connection.
//!
//! The file carries the cloud's name, so that several clouds, and what else is kept there, do not
//! disturb each other. The host's own list of authorities is left alone: it would make everything
//! on the host trust a key that lies in a state directory.

use std::collections::BTreeSet;
use std::path::Path;
use std::{fs, io};

pub const DIRECTORY: &str = "/etc/docker/certs.d";

/// Puts the authority to these registries, and takes this cloud's away from all others.
pub fn write(
    directory: &Path,
    cloud: &str,
    authority: &str,
    registries: &BTreeSet<String>,
) -> io::Result<()> {
    let file = format!("{cloud}.crt");
    for registry in registries {
        let own = directory.join(registry);
        let path = own.join(&file);
        if !fs::read_to_string(&path).is_ok_and(|text| text == authority) {
            fs::create_dir_all(own)?;
            fs::write(path, authority)?;
        }
    }
    let entries = match fs::read_dir(directory) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
    };
    let mut removed = false;
    for entry in entries {
        let entry = entry?;
        let wanted = entry
            .file_name()
            .to_str()
            .is_some_and(|n| registries.contains(n));
        let path = entry.path().join(&file);
        if !wanted && path.exists() {
            fs::remove_file(path)?;
            removed = true;
            // Gone if nothing else is in it; and so are those above, which we may have made.
            let _ = fs::remove_dir(entry.path());
        }
    }
    if removed {
        for above in directory.ancestors().take(2) {
            let _ = fs::remove_dir(above);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_cloud_has_files_of_its_own() {
        let top = std::env::temp_dir().join(format!("registry-trust-{}", std::process::id()));
        let directory = top.join("docker/certs.d");
        fs::create_dir_all(&top).expect("made");
        let names = |names: &[&str]| names.iter().map(|n| (*n).to_owned()).collect();
        let put = |cloud: &str, registries: &[&str]| {
            write(&directory, cloud, "pem", &names(registries)).expect("written");
        };
        put("one", &[]);
        assert!(!directory.exists(), "nothing is made for nothing");
        put("one", &["a", "b"]);
        put("two", &["b"]);
        put("one", &["b"]);
        assert!(!directory.join("a").exists());
        let text = fs::read_to_string(directory.join("b/two.crt")).expect("there");
        assert_eq!(text, "pem");
        put("one", &[]);
        assert!(!directory.join("b/one.crt").exists() && directory.join("b/two.crt").exists());
        put("two", &[]);
        assert!(!top.join("docker").exists(), "as it was");
        fs::remove_dir_all(top).expect("removed");
    }
}
