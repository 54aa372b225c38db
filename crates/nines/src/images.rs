//! The machine images on this host: a directory `NAME/current` each, with a root file system and an
//! `image.json` beside it, as `images/build` makes them.

use model::image::{AtHand, Built};
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

/// What `make images` builds; a machine in memory has these.
pub const RECIPES: [&str; 2] = ["debian-12-docker", "debian-12"];

/// Where each name leads to. A version's directory never changes, so what is known of it holds
/// while its name leads there.
type Versions = BTreeMap<OsString, PathBuf>;

/// Those below `dir`, looked at again whenever they are asked for.
pub fn at_hand(dir: PathBuf) -> AtHand {
    let known: Mutex<(Versions, Arc<[Built]>)> = Mutex::new((Versions::new(), [].into()));
    AtHand::new(move || {
        let mut known = known.lock().unwrap_or_else(PoisonError::into_inner);
        let versions = versions(&dir);
        if known.0 != versions {
            *known = (versions, built(&dir).into());
        }
        known.1.clone()
    })
}

fn versions(dir: &Path) -> Versions {
    let entries = fs::read_dir(dir).into_iter().flatten().flatten();
    entries
        .filter_map(|entry| {
            let current = entry.path().join("current");
            let version = fs::canonicalize(current).ok()?;
            Some((entry.file_name(), version))
        })
        .collect()
}

/// Those below `dir`, by name.
pub fn built(dir: &Path) -> Vec<Built> {
    let mut found: Vec<Built> = fs::read_dir(dir)
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| {
            let current = entry.path().join("current");
            let name = entry.file_name().into_string().ok()?;
            let of_file = || {
                let text = fs::read(current.join("image.json")).ok()?;
                serde_json::from_slice::<serde_json::Value>(&text).ok()
            };
            current.join("rootfs").is_dir().then(|| {
                let described = of_file().unwrap_or_default();
                let text = |key: &str| described[key].as_str().unwrap_or_default();
                Built {
                    created: text("created").parse().unwrap_or_default(),
                    description: text("description").to_owned(),
                    recipe: name,
                }
            })
        })
        .collect();
    found.sort_by(|a, b| a.recipe.cmp(&b.recipe));
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    #[test]
    fn what_comes_and_goes_is_seen_at_the_next_look() {
        let dir = std::env::temp_dir().join(format!("nines-images-{}", std::process::id()));
        let make = |name: &str, version: &str, description: &str| {
            let home = dir.join(name).join(version);
            fs::create_dir_all(home.join("rootfs")).unwrap();
            let text = format!("{{\"description\": \"{description}\"}}");
            fs::write(home.join("image.json"), text).unwrap();
            let link = dir.join(name).join("current");
            let _ = fs::remove_file(&link);
            symlink(version, link).unwrap();
        };
        let at_hand = at_hand(dir.clone());
        let seen = || -> Vec<(String, String)> {
            let all = at_hand.get();
            let pairs = all
                .iter()
                .map(|b| (b.recipe.clone(), b.description.clone()));
            pairs.collect()
        };
        let pair = |name: &str, description: &str| (name.to_owned(), description.to_owned());
        assert_eq!(seen(), []);
        make("one", "v1", "first");
        assert_eq!(seen(), [pair("one", "first")]);
        make("one", "v2", "second");
        make("two", "v1", "other");
        assert_eq!(seen(), [pair("one", "second"), pair("two", "other")]);
        // In the making.
        fs::create_dir_all(dir.join("three/v1/rootfs")).unwrap();
        fs::remove_dir_all(dir.join("one")).unwrap();
        assert_eq!(seen(), [pair("two", "other")]);
        fs::remove_dir_all(&dir).unwrap();
        assert_eq!(seen(), []);
    }
}
