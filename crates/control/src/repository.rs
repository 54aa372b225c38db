//! Repositories of container images: their lifecycle policies followed, what nobody needs removed.
//!
//! Images come by the edge and lie on disk (the crate `oci`); AWS expires them "within 24 hours",
//! here every hour. Directories of deleted repositories go once the edge has said that it serves
//! them no more.

use crate::World;
use crate::clock::earliest;
use jiff::{SignedDuration, Timestamp};
use model::ecr::{Expiry, LifecycleRule, Registry, Repository, Selection};
use model::event::Severity;
use oci::{Digest, Image, Layout, Reference, Removed, TagRule};
use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};
use std::{fs, io};
use store::{Record, State};

/// Between two looks at a repository.
const INTERVAL: u32 = 3600;
const DAY: u32 = 24 * 3600;
/// Uploads and layers without an image are not waited for any longer. Never shrunk: what brings
/// them is real software.
const FORGOTTEN: Duration = Duration::from_secs(24 * 3600);

/// What was looked at when.
#[derive(Default)]
pub struct Repositories {
    swept: Option<Timestamp>,
    /// Those there were then.
    known: BTreeSet<PathBuf>,
}

pub fn pass(world: &mut World, now: Timestamp) -> Option<Timestamp> {
    let state = world.store.snapshot();
    let root = world.settings.repositories_dir.clone();
    let interval = world.settings.speed.wait(INTERVAL);
    let mut again = None;
    for repository in state.repositories.values() {
        let Some(policy) = &repository.lifecycle else {
            continue;
        };
        let due = policy.evaluated.map_or(now, |at| at + interval);
        if due <= now {
            follow(world, &root, repository, &policy.rules, now);
        }
        again = earliest(again, Some(due.max(now + interval)));
    }
    let wanted: BTreeSet<PathBuf> = state.repositories.values().map(|r| r.path()).collect();
    let due = world.repositories.swept.map_or(now, |at| at + interval);
    let thorough = due <= now;
    if (thorough || wanted != world.repositories.known) && world.edge.has_all() {
        if let Err(error) = sweep(&root, &wanted, thorough) {
            tracing::warn!(%error, "sweep repositories of container images");
        }
        if thorough {
            world.repositories.swept = Some(now);
        }
        world.repositories.known = wanted;
    }
    again
}

/// Expires what the policy's rules say, and writes down that they were looked at.
fn follow(
    world: &World,
    root: &Path,
    repository: &Repository,
    rules: &[LifecycleRule],
    now: Timestamp,
) {
    let layout = Layout::at(root.join(repository.path()));
    let day = world.settings.speed.wait(DAY);
    let expire = || -> io::Result<usize> {
        let mut gone = 0;
        for digest in expired(&layout.images()?, rules, now, day) {
            let removed = layout.remove(&Reference::Digest(digest))?;
            gone += usize::from(matches!(removed, Removed::Yes { .. }));
        }
        Ok(gone)
    };
    let outcome = expire();
    world.store.update(|tx| {
        let arn = repository.arn();
        match &outcome {
            Ok(0) => {}
            Ok(gone) => {
                let text = format!("images expired by the lifecycle policy: {gone}");
                tx.event(now, Severity::Info, arn, "images-expired", text);
            }
            Err(error) => {
                let text = format!("could not follow the lifecycle policy: {error}");
                tx.event(now, Severity::Error, arn, "images-expired", text);
            }
        }
        tx.modify::<Repository>(&repository.key(), |r| {
            if let Some(policy) = &mut r.lifecycle {
                policy.evaluated = Some(now);
            }
        });
    });
}

/// What expires. An image whose tags match a rule is left alone by all rules after it; it still
/// counts for them.
fn expired(
    images: &[Image],
    rules: &[LifecycleRule],
    now: Timestamp,
    day: SignedDuration,
) -> Vec<Digest> {
    let mut newest_first: Vec<&Image> = images.iter().filter(|i| i.pushed.is_some()).collect();
    newest_first.sort_by_key(|image| std::cmp::Reverse(image.pushed));
    let mut taken: BTreeSet<&Digest> = BTreeSet::new();
    let mut gone = Vec::new();
    for rule in rules {
        let matching: Vec<&Image> = newest_first
            .iter()
            .filter(|image| selects(&rule.selection, image))
            .copied()
            .collect();
        let old = |image: &Image, days: u32| {
            let age = day.saturating_mul(i32::try_from(days).unwrap_or(i32::MAX));
            image.pushed.is_some_and(|at| now.duration_since(at) > age)
        };
        for (place, image) in matching.iter().enumerate() {
            let goes = match rule.expiry {
                Expiry::MoreThan(count) => place >= count as usize,
                Expiry::DaysSincePush(days) => old(image, days),
            };
            if goes && !taken.contains(&image.digest) {
                gone.push(image.digest.clone());
            }
        }
        taken.extend(matching.iter().map(|image| &image.digest));
    }
    gone
}

fn selects(selection: &Selection, image: &Image) -> bool {
    let every = |wanted: &[String], holds: fn(&str, &str) -> bool| {
        let some = |w: &String| image.tags.iter().any(|tag| holds(w, tag));
        wanted.iter().all(some)
    };
    match selection {
        Selection::Any => true,
        Selection::Untagged => image.tags.is_empty(),
        Selection::Prefixes(prefixes) => every(prefixes, |prefix, tag| tag.starts_with(prefix)),
        Selection::Patterns(patterns) => every(patterns, oci::matches),
    }
}

/// Removes directories that are no repository's and, if `thorough`, from the others what nobody
/// names.
fn sweep(root: &Path, wanted: &BTreeSet<PathBuf>, thorough: bool) -> io::Result<()> {
    let before = SystemTime::now()
        .checked_sub(FORGOTTEN)
        .unwrap_or(SystemTime::UNIX_EPOCH);
    for account in directories(root)? {
        for region in directories(&account)? {
            for path in directories(&region)? {
                match path.strip_prefix(root) {
                    Ok(own) if wanted.contains(own) => {
                        if thorough && let Err(error) = Layout::at(path.clone()).sweep(before) {
                            tracing::warn!(repository = %own.display(), %error, "failed to sweep a repository");
                        }
                    }
                    _ => fs::remove_dir_all(path)?,
                }
            }
        }
    }
    Ok(())
}

fn directories(path: &Path) -> io::Result<Vec<PathBuf>> {
    let entries = match fs::read_dir(path) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let mut found = Vec::new();
    for entry in entries {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            found.push(entry.path());
        }
    }
    Ok(found)
}

type Served = BTreeMap<String, BTreeMap<String, BTreeMap<String, edge::config::Repository>>>;

/// What the edge serves: by account, Region and name.
pub(crate) fn served(state: &State, root: &Path) -> Served {
    let mut served = Served::new();
    for repository in state.repositories.values() {
        let account = served.entry(repository.scope.account.to_string());
        let region = account.or_default();
        let region = region.entry(repository.scope.region.to_string());
        let what = edge::config::Repository {
            layout: root.join(repository.path()),
            tags: TagRule {
                immutable: repository.immutable(),
                except: repository.exclusions.clone(),
            },
        };
        region.or_default().insert(repository.name.clone(), what);
    }
    served
}

/// Names that the host shall know: of registries that somebody has asked for.
pub(crate) fn host_names(
    state: &State,
    settings: &crate::Settings,
) -> Vec<(String, Vec<Ipv4Addr>)> {
    let tls = settings.registry.as_ref().and_then(|r| r.tls.as_ref());
    let Some(IpAddr::V4(address)) = tls.map(|tls| tls.address.ip()) else {
        return Vec::new();
    };
    let scopes = state.registries.keys();
    scopes
        .map(|scope| (Registry::host(scope), vec![address]))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Images `a`, `b`, …, each pushed a day after the one before, with tags; what goes.
    fn check(images: &[&[&str]], rules: &[(Selection, Expiry)], expected: &str) {
        let day = SignedDuration::from_hours(24);
        let digest = |n: usize| Digest::of(&[n as u8]);
        let image = |(n, tags): (usize, &&[&str])| Image {
            digest: digest(n),
            media_type: String::new(),
            tags: tags.iter().map(|t| (*t).to_owned()).collect(),
            pushed: Some(Timestamp::UNIX_EPOCH + day * n as i32),
        };
        let images: Vec<Image> = images.iter().enumerate().map(image).collect();
        let rule = |(n, (selection, expiry)): (usize, &(Selection, Expiry))| LifecycleRule {
            priority: n as u32,
            selection: selection.clone(),
            expiry: *expiry,
        };
        let rules: Vec<LifecycleRule> = rules.iter().enumerate().map(rule).collect();
        let now = Timestamp::UNIX_EPOCH + day * images.len() as i32;
        let gone = expired(&images, &rules, now, day);
        let letter = |n: &usize| char::from(b'a' + *n as u8);
        let numbers = (0..images.len()).filter(|n| gone.contains(&digest(*n)));
        let names: String = numbers.collect::<Vec<_>>().iter().map(letter).collect();
        assert_eq!(names, expected, "{rules:?}");
    }

    #[test]
    fn what_expires() {
        use Expiry::{DaysSincePush, MoreThan};
        use Selection::{Any, Patterns, Prefixes, Untagged};
        let four: &[&[&str]] = &[&["v1"], &[], &["v2", "x"], &[]];
        let v = || Prefixes(vec!["v".into()]);
        check(four, &[(Any, MoreThan(3))], "a");
        check(four, &[(Any, MoreThan(9))], "");
        check(four, &[(Any, DaysSincePush(2))], "ab");
        check(four, &[(Untagged, MoreThan(1))], "b");
        check(four, &[(v(), MoreThan(1))], "a");
        // All of the prefixes, each by some tag.
        check(
            four,
            &[(Prefixes(vec!["v".into(), "x".into()]), DaysSincePush(1))],
            "c",
        );
        check(
            four,
            &[(Patterns(vec!["*1".into()]), DaysSincePush(1))],
            "a",
        );
        // The first rule keeps v1 from the second, which counts it all the same.
        check(four, &[(v(), MoreThan(2)), (Any, MoreThan(1))], "b");
        check(four, &[(Untagged, MoreThan(1)), (Any, MoreThan(1))], "abc");
    }
}
