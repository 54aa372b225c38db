//! The public images (AMIs): which exist in a region, and what really backs them.
//!
//! The catalogue is computed, not stored: an image's id is a hash of region and
//! name, so that it is the same in every cloud and can be written into a stack.
//! Every image runs a root file system made by one of our recipes; where the recipe of
//! its family is not built, on another architecture, and for ids that are not in the
//! catalogue at all, it runs the default, [`backing`] says so and a launch reports it.
//!
//! What `nines image import` and `pull` made, and recipes without a counterpart on AWS, are
//! [`local`] images `nines-…` of account 000000000000, with ids computed in the same way.
//!
//! `nines-debian-12-docker` (Debian 12 with Docker installed) belongs to account
//! 000000000000, the default account of this cloud: it is public, `self` for
//! callers of that account, and claims no alias that AWS's own images have.

mod at_hand;

pub use at_hand::AtHand;

use crate::instance_type::Architecture;
use crate::snapshot::{OwnImage, Snapshot, SnapshotState};
use crate::{ImageId, InstanceId, SnapshotId, Tags, Timestamp, zone};
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::LazyLock;

#[derive(Debug, Clone, PartialEq)]
pub struct Image {
    pub id: ImageId,
    pub region: &'static str,
    pub name: String,
    pub description: String,
    pub owner: Cow<'static, str>,
    pub owner_alias: Option<&'static str>,
    pub architecture: Architecture,
    pub created: Timestamp,
    pub root_device: &'static str,
    /// GiB.
    pub root_size: u32,
    pub root_volume_type: &'static str,
    /// Launches require IMDSv2 unless they say otherwise (AMI attribute `v2.0`).
    pub imds_v2: bool,
    pub boot_mode: &'static str,
    /// What newest image of this line a public SSM parameter or `$most_recent` means.
    pub line: Line,
    /// Of an image that an account made.
    pub own: Option<Own>,
}

/// What images of the catalogue do not have.
#[derive(Debug, Clone, PartialEq)]
pub struct Own {
    pub snapshot: SnapshotId,
    /// `pending`, `available` or `failed`.
    pub state: &'static str,
    pub reason: Option<String>,
    pub source: Option<InstanceId>,
    pub tags: Tags,
}

/// A line of images, of which the newest date is current.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Line {
    Debian12,
    NinesDebian12Docker,
    AmazonLinux2023,
    AmazonLinux2023Minimal,
    AmazonLinux2,
    /// Out of support since 2023, still asked for by examples.
    AmazonLinux1,
    Ubuntu2204,
    Ubuntu2404,
    /// Of no release: built, imported or pulled here.
    Local,
}

impl Line {
    /// The recipe whose root file system is what the line's images have on AWS; of Debian 12 the
    /// one with Docker does too.
    fn recipe(self) -> Option<&'static str> {
        match self {
            Self::Debian12 => Some(PLAIN_RECIPE),
            Self::NinesDebian12Docker => Some(DOCKER_RECIPE),
            Self::AmazonLinux2023 | Self::AmazonLinux2023Minimal => Some("amazon-linux-2023"),
            Self::Ubuntu2204 => Some("ubuntu-22.04"),
            Self::Ubuntu2404 => Some("ubuntu-24.04"),
            Self::AmazonLinux2 | Self::AmazonLinux1 | Self::Local => None,
        }
    }
}

/// The default user of the AMI that an image id stands for, where what runs for it is of another
/// family: stacks and user data name that user.
pub fn stand_in_user(id: &ImageId, recipe: &str) -> Option<&'static str> {
    let line = find(id)?.line;
    let user = match line {
        Line::Ubuntu2204 | Line::Ubuntu2404 => "ubuntu",
        Line::AmazonLinux2023
        | Line::AmazonLinux2023Minimal
        | Line::AmazonLinux2
        | Line::AmazonLinux1 => "ec2-user",
        Line::Debian12 | Line::NinesDebian12Docker | Line::Local => return None,
    };
    (line.recipe() != Some(recipe)).then_some(user)
}

/// A root file system that is at hand, as the `image.json` beside it describes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Built {
    /// Name of the recipe, or the name that it was imported under.
    pub recipe: String,
    pub description: String,
    pub created: Timestamp,
}

impl From<&str> for Built {
    fn from(recipe: &str) -> Self {
        Self {
            recipe: recipe.to_owned(),
            description: String::new(),
            created: Timestamp::UNIX_EPOCH,
        }
    }
}

/// The image of a root file system that no line of the catalogue stands for.
pub fn local(region: &'static str, built: &Built) -> Option<Image> {
    let of_line = |release: &Release| release.line.recipe() == Some(&*built.recipe);
    // Debian's images run the recipe with Docker where that is built, so the plain one has a name too.
    if built.recipe != PLAIN_RECIPE && RELEASES.iter().any(of_line) {
        return None;
    }
    let name = format!("nines-{}", built.recipe);
    let description = match built.description.as_str() {
        "" => name.clone(),
        described => described.to_owned(),
    };
    Some(Image {
        id: id(region, &name),
        name,
        description,
        created: built.created,
        architecture: host_architecture(),
        line: Line::Local,
        ..unknown(&ImageId::random(), region)
    })
}

fn host_architecture() -> Architecture {
    match std::env::consts::ARCH {
        "aarch64" => Arm64,
        _ => X86_64,
    }
}

/// The ids that the root file system of a recipe runs in a region, with their names.
pub fn standing_for(region: &'static str, built: &[Built], recipe: &str) -> Vec<Image> {
    let of_catalogue = in_region(region)
        .filter(|i| {
            let backing = backing(&i.id, built);
            backing.recipe == recipe && backing.differs.is_none()
        })
        .cloned();
    let own = built.iter().filter(|b| b.recipe == recipe);
    of_catalogue
        .chain(own.filter_map(|b| local(region, b)))
        .collect()
}

/// An id that is not in the catalogue, described as what a launch makes of it.
pub fn unknown(id: &ImageId, region: &'static str) -> Image {
    Image {
        id: id.clone(),
        region,
        name: id.to_string(),
        description: "Not known here; runs as Debian 12".to_owned(),
        owner: NINES.into(),
        owner_alias: None,
        own: None,
        architecture: X86_64,
        created: Timestamp::UNIX_EPOCH,
        root_device: "/dev/xvda",
        root_size: 8,
        root_volume_type: "gp3",
        imds_v2: false,
        boot_mode: "uefi-preferred",
        line: Line::Debian12,
    }
}

/// An account's image, in the form of the catalogue's. None if its region is unknown.
pub fn of_account(image: &OwnImage, snapshot: Option<&Snapshot>) -> Option<Image> {
    let state = snapshot.map(|s| &s.state);
    let known = |name: &str, names: &[&'static str], other| {
        names.iter().find(|n| **n == name).copied().unwrap_or(other)
    };
    let architecture = match image.architecture.as_str() {
        "arm64" => Arm64,
        _ => X86_64,
    };
    Some(Image {
        id: image.id.clone(),
        region: zone::region(&image.scope.region)?.name,
        name: image.name.clone(),
        description: image.description.clone(),
        owner: image.scope.account.to_string().into(),
        owner_alias: None,
        architecture,
        created: image.created,
        root_device: known(&image.root_device, &["/dev/sda1"], "/dev/xvda"),
        root_size: image.root_size,
        root_volume_type: known(&image.root_volume_type, &["gp2", "io1", "io2"], "gp3"),
        imds_v2: image.imds_v2,
        boot_mode: match architecture {
            X86_64 => "uefi-preferred",
            Arm64 => "uefi",
        },
        line: Line::Debian12,
        own: Some(Own {
            snapshot: image.snapshot.clone(),
            state: match state {
                Some(SnapshotState::Completed(_)) => "available",
                Some(SnapshotState::Pending) => "pending",
                Some(SnapshotState::Error(_)) | None => "failed",
            },
            reason: match state {
                Some(SnapshotState::Error(why)) => Some(why.clone()),
                _ => None,
            },
            source: image.source.clone(),
            tags: image.tags.clone(),
        }),
    })
}

/// What an image id runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Backing {
    /// Name of the recipe whose root file system is used.
    pub recipe: String,
    /// Why that is not what the id stands for on AWS; `None` where it is.
    pub differs: Option<String>,
}

pub const DEBIAN: &str = "136693071363";
pub const AMAZON: &str = "137112412989";
pub const CANONICAL: &str = "099720109477";
pub const NINES: &str = "000000000000";

pub const PLAIN_RECIPE: &str = "debian-12";
pub const DOCKER_RECIPE: &str = "debian-12-docker";

/// The image with this id in whatever region.
pub fn find(id: &ImageId) -> Option<&'static Image> {
    CATALOGUE.get(id)
}

/// The images of a region, by id.
pub fn in_region(region: &str) -> impl Iterator<Item = &'static Image> {
    CATALOGUE
        .values()
        .filter(move |image| image.region == region)
}

/// The newest image of a line.
pub fn newest(region: &str, line: Line, architecture: Architecture) -> Option<&'static Image> {
    in_region(region)
        .filter(|image| image.line == line && image.architecture == architecture)
        .max_by_key(|image| image.created)
}

/// What runs for an image id, given the recipes that are built.
pub fn backing(id: &ImageId, built: &[Built]) -> Backing {
    let has = |recipe: &str| built.iter().any(|b| b.recipe == recipe);
    let default = if has(DOCKER_RECIPE) {
        DOCKER_RECIPE
    } else {
        PLAIN_RECIPE
    };
    let Some(image) = find(id) else {
        let regions = || zone::REGIONS.iter().map(|region| region.name);
        let is = |b: &&Built| regions().any(|r| local(r, b).is_some_and(|i| i.id == *id));
        if let Some(own) = built.iter().find(is) {
            return Backing {
                recipe: own.recipe.clone(),
                differs: None,
            };
        }
        return Backing {
            recipe: default.to_owned(),
            differs: Some(format!("{id} is not known here; runs as {default}")),
        };
    };
    let recipe = match image.line {
        // Also with Docker it is Debian 12, and most user data installs Docker.
        Line::Debian12 => default,
        line => line.recipe().filter(|r| has(r)).unwrap_or(default),
    };
    let host = host_architecture();
    let same = match image.line {
        Line::Debian12 => true,
        line => line.recipe() == Some(recipe),
    };
    let differs = if !same {
        Some(match image.line.recipe() {
            Some(wanted) => format!(
                "{id} ({}) runs as {recipe}, since {wanted} is not built; `nines image build {wanted}` does it where its packages can be had",
                image.name
            ),
            None => format!("{id} ({}) runs as {recipe}", image.name),
        })
    } else if image.architecture != host {
        Some(format!(
            "{id} is {}; runs as {recipe} on this machine's {}",
            image.architecture.name(),
            host.name()
        ))
    } else {
        None
    };
    Backing {
        recipe: recipe.to_owned(),
        differs,
    }
}

static CATALOGUE: LazyLock<BTreeMap<ImageId, Image>> = LazyLock::new(|| {
    zone::REGIONS
        .iter()
        .flat_map(|region| RELEASES.iter().map(|release| image(region.name, release)))
        .map(|image| (image.id.clone(), image))
        .collect()
});

struct Release {
    line: Line,
    architecture: Architecture,
    name: &'static str,
    created: &'static str,
}

use Architecture::{Arm64, X86_64};

const fn release(
    line: Line,
    architecture: Architecture,
    name: &'static str,
    created: &'static str,
) -> Release {
    Release {
        line,
        architecture,
        name,
        created,
    }
}

/// Two dates a line, so that `most_recent` and an ambiguous look-up behave as on AWS.
#[rustfmt::skip]
const RELEASES: &[Release] = &[
    release(Line::Debian12, X86_64, "debian-12-amd64-20240717-1811", "2024-07-17T07:40:12Z"),
    release(Line::Debian12, X86_64, "debian-12-amd64-20250316-2053", "2025-03-16T22:41:52Z"),
    release(Line::Debian12, Arm64, "debian-12-arm64-20250316-2053", "2025-03-16T22:42:21Z"),
    release(Line::NinesDebian12Docker, X86_64, "nines-debian-12-docker", "2025-03-16T23:00:00Z"),
    release(Line::AmazonLinux2023, X86_64, "al2023-ami-2023.5.20240903.0-kernel-6.1-x86_64", "2024-09-03T20:48:23Z"),
    release(Line::AmazonLinux2023, X86_64, "al2023-ami-2023.6.20250317.2-kernel-6.1-x86_64", "2025-03-18T02:43:38Z"),
    release(Line::AmazonLinux2023, Arm64, "al2023-ami-2023.6.20250317.2-kernel-6.1-arm64", "2025-03-18T02:43:39Z"),
    release(Line::AmazonLinux2023Minimal, X86_64, "al2023-ami-minimal-2023.6.20250317.2-kernel-6.1-x86_64", "2025-03-18T02:43:36Z"),
    release(Line::AmazonLinux2023Minimal, Arm64, "al2023-ami-minimal-2023.6.20250317.2-kernel-6.1-arm64", "2025-03-18T02:43:37Z"),
    release(Line::AmazonLinux2, X86_64, "amzn2-ami-hvm-2.0.20240903.0-x86_64-gp2", "2024-09-03T20:53:31Z"),
    release(Line::AmazonLinux2, X86_64, "amzn2-ami-hvm-2.0.20250305.0-x86_64-gp2", "2025-03-06T19:15:44Z"),
    release(Line::AmazonLinux2, Arm64, "amzn2-ami-hvm-2.0.20250305.0-arm64-gp2", "2025-03-06T19:15:46Z"),
    release(Line::AmazonLinux1, X86_64, "amzn-ami-hvm-2018.03.0.20230905.0-x86_64-gp2", "2023-09-06T00:52:21Z"),
    release(Line::Ubuntu2204, X86_64, "ubuntu/images/hvm-ssd/ubuntu-jammy-22.04-amd64-server-20240904", "2024-09-04T17:02:19Z"),
    release(Line::Ubuntu2204, X86_64, "ubuntu/images/hvm-ssd/ubuntu-jammy-22.04-amd64-server-20250305", "2025-03-05T16:12:40Z"),
    release(Line::Ubuntu2204, Arm64, "ubuntu/images/hvm-ssd/ubuntu-jammy-22.04-arm64-server-20250305", "2025-03-05T16:20:05Z"),
    release(Line::Ubuntu2404, X86_64, "ubuntu/images/hvm-ssd-gp3/ubuntu-noble-24.04-amd64-server-20240904", "2024-09-04T17:41:06Z"),
    release(Line::Ubuntu2404, X86_64, "ubuntu/images/hvm-ssd-gp3/ubuntu-noble-24.04-amd64-server-20250305", "2025-03-05T16:34:56Z"),
    release(Line::Ubuntu2404, Arm64, "ubuntu/images/hvm-ssd-gp3/ubuntu-noble-24.04-arm64-server-20250305", "2025-03-05T16:44:11Z"),
];

fn image(region: &'static str, release: &Release) -> Image {
    let (owner, owner_alias, description) = match release.line {
        // Those of verified providers bear the alias as well, so that it finds them.
        Line::Debian12 => (DEBIAN, Some("amazon"), "Debian 12".to_owned()),
        Line::NinesDebian12Docker => (NINES, None, "Debian 12 with Docker, built by nines".into()),
        Line::AmazonLinux2023 | Line::AmazonLinux2023Minimal => (
            AMAZON,
            Some("amazon"),
            format!(
                "Amazon Linux 2023 AMI {} HVM kernel-6.1",
                release.architecture.name()
            ),
        ),
        Line::AmazonLinux2 => (
            AMAZON,
            Some("amazon"),
            format!("Amazon Linux 2 AMI {} HVM gp2", release.architecture.name()),
        ),
        Line::AmazonLinux1 => (
            AMAZON,
            Some("amazon"),
            "Amazon Linux AMI 2018.03 x86_64 HVM gp2".into(),
        ),
        Line::Ubuntu2204 => (
            CANONICAL,
            Some("amazon"),
            "Ubuntu Server 22.04 LTS (Jammy)".into(),
        ),
        Line::Ubuntu2404 => (
            CANONICAL,
            Some("amazon"),
            "Ubuntu Server 24.04 LTS (Noble)".into(),
        ),
        Line::Local => (NINES, None, release.name.into()),
    };
    let (root_size, root_volume_type) = match release.line {
        Line::Debian12 | Line::NinesDebian12Docker | Line::AmazonLinux2023 | Line::Local => {
            (8, "gp3")
        }
        Line::AmazonLinux2023Minimal => (2, "gp3"),
        Line::Ubuntu2404 => (8, "gp3"),
        Line::AmazonLinux2 | Line::AmazonLinux1 | Line::Ubuntu2204 => (8, "gp2"),
    };
    Image {
        id: id(region, release.name),
        region,
        name: release.name.to_owned(),
        description,
        owner: owner.into(),
        owner_alias,
        own: None,
        architecture: release.architecture,
        // The table above is checked by a test; the epoch would only sort last.
        created: release.created.parse().unwrap_or_default(),
        root_device: match release.line {
            Line::Ubuntu2204 | Line::Ubuntu2404 => "/dev/sda1",
            _ => "/dev/xvda",
        },
        root_size,
        root_volume_type,
        imds_v2: matches!(
            release.line,
            Line::AmazonLinux2023 | Line::AmazonLinux2023Minimal
        ),
        boot_mode: match release.architecture {
            X86_64 => "uefi-preferred",
            Arm64 => "uefi",
        },
        line: release.line,
    }
}

/// `ami-0` and 16 digits of FNV-1a over region and name, mixed so that names
/// differing in their last digit do not get neighbouring ids.
fn id(region: &str, name: &str) -> ImageId {
    let mut hash: u64 = 0xcbf2_9ce4_8422_2325;
    for byte in region.bytes().chain([b'/']).chain(name.bytes()) {
        hash = (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
    }
    hash ^= hash >> 32;
    hash = hash.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    hash ^= hash >> 29;
    format!("ami-0{hash:016x}")
        .parse()
        .unwrap_or_else(|_| ImageId::random())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_region_has_every_image_under_an_id_of_its_own() {
        assert_eq!(CATALOGUE.len(), RELEASES.len() * zone::REGIONS.len());
        for image in CATALOGUE.values() {
            assert!(image.created > Timestamp::UNIX_EPOCH, "{}", image.name);
            assert_eq!(find(&image.id).map(|i| &i.name), Some(&image.name));
        }
    }

    #[test]
    fn a_stand_in_has_the_users_that_the_image_would_have() {
        let check = |line, recipe, user: Option<&str>| {
            let id = &newest("us-east-1", line, X86_64).unwrap().id;
            assert_eq!(stand_in_user(id, recipe), user, "{line:?} as {recipe}");
        };
        check(Line::Ubuntu2404, DOCKER_RECIPE, Some("ubuntu"));
        check(Line::Ubuntu2404, "ubuntu-24.04", None);
        check(Line::AmazonLinux2, PLAIN_RECIPE, Some("ec2-user"));
        check(Line::Debian12, DOCKER_RECIPE, None);
        assert_eq!(stand_in_user(&ImageId::random(), PLAIN_RECIPE), None);
    }

    #[test]
    fn ids_never_change() {
        // Users write them into stacks: a change here breaks those.
        let id = &newest("us-east-1", Line::Debian12, X86_64).unwrap().id;
        assert_eq!(id.as_str(), "ami-043985f3006b29f9e");
    }

    fn check(id: &ImageId, built: &[&str], recipe: &str, differs: bool) {
        let built: Vec<Built> = built.iter().map(|s| (*s).into()).collect();
        let got = backing(id, &built);
        assert_eq!(
            (got.recipe.as_str(), got.differs.is_some()),
            (recipe, differs),
            "{got:?}"
        );
    }

    #[test]
    fn what_no_line_stands_for_has_an_image_of_its_own() {
        let built: Vec<Built> = ["debian-12", "mine", "ubuntu-24.04"]
            .map(Built::from)
            .into();
        assert_eq!(local("us-east-1", &built[2]), None);
        let image = local("us-east-1", &built[1]).unwrap();
        assert_eq!((&*image.name, &*image.owner), ("nines-mine", NINES));
        assert_eq!(local("us-east-1", &built[1]).unwrap().id, image.id);
        assert_ne!(local("us-east-2", &built[1]).unwrap().id, image.id);
        assert_eq!(backing(&image.id, &built).recipe, "mine");
        assert!(backing(&image.id, &built[..1]).differs.is_some());
        let names = |recipe| {
            let of = standing_for("us-east-1", &built, recipe);
            of.into_iter().map(|i| i.name).collect::<Vec<_>>()
        };
        assert_eq!(names("mine"), ["nines-mine"]);
        assert!(
            names("ubuntu-24.04")
                .iter()
                .all(|n| n.starts_with("ubuntu/images/"))
        );
    }

    #[test]
    #[cfg(target_arch = "x86_64")]
    fn what_is_not_debian_12_says_so() {
        let newest = |line, architecture| &newest("eu-west-1", line, architecture).unwrap().id;
        let both = &["debian-12", "debian-12-docker"][..];
        let plain = &["debian-12"][..];
        check(newest(Line::Debian12, X86_64), both, DOCKER_RECIPE, false);
        check(newest(Line::Debian12, X86_64), plain, PLAIN_RECIPE, false);
        check(newest(Line::Debian12, Arm64), plain, PLAIN_RECIPE, true);
        check(
            newest(Line::NinesDebian12Docker, X86_64),
            both,
            DOCKER_RECIPE,
            false,
        );
        check(
            newest(Line::NinesDebian12Docker, X86_64),
            plain,
            PLAIN_RECIPE,
            true,
        );
        check(newest(Line::Ubuntu2404, X86_64), both, DOCKER_RECIPE, true);
        let ubuntu = &["debian-12", "ubuntu-24.04"][..];
        check(
            newest(Line::Ubuntu2404, X86_64),
            ubuntu,
            "ubuntu-24.04",
            false,
        );
        check(
            newest(Line::Ubuntu2404, Arm64),
            ubuntu,
            "ubuntu-24.04",
            true,
        );
        check(newest(Line::Ubuntu2204, X86_64), ubuntu, PLAIN_RECIPE, true);
        check(newest(Line::Debian12, X86_64), ubuntu, PLAIN_RECIPE, false);
        check(&ImageId::random(), &[], PLAIN_RECIPE, true);
    }
}
