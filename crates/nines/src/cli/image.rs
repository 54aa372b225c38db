//! `nines image`: the machine images on this host.
//!
//! An image is a directory `NAME/current` with a root file system and an `image.json` beside it.
//! Making one is `images/build`'s work, also of what is imported or pulled; this lists them with
//! the AMIs that they stand for, removes them, and finds that program.

use super::table;
use crate::images;
use crate::layout::State;
use anyhow::{Context, Result, bail};
use clap::Subcommand;
use model::image::{Built, standing_for};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

#[derive(Subcommand)]
pub enum Image {
    /// What is at hand: size, the AMIs it stands for, and who uses it.
    Ls {
        /// The region of the AMI ids.
        #[arg(long, default_value = "us-east-1", env = "AWS_DEFAULT_REGION")]
        region: String,
    },
    /// Build recipes of `images/recipes`; without any, name those that there are.
    Build {
        recipes: Vec<String>,
        /// Although an up-to-date result exists.
        #[arg(long)]
        force: bool,
    },
    /// Make an image of a container image in a registry: `ubuntu:24.04`, `public.ecr.aws/…`.
    Pull {
        reference: String,
        /// Its name here; by default from the reference.
        #[arg(long)]
        name: Option<String>,
        /// Install what an instance needs (systemd, sshd, Python) by the image's own package manager.
        #[arg(long)]
        install: bool,
        /// A registry without TLS, or with a certificate that nobody vouches for.
        #[arg(long)]
        insecure: bool,
    },
    /// Make an image of a file: a root file system's tar, `docker save`'s or an OCI archive.
    Import {
        file: PathBuf,
        #[arg(long)]
        name: String,
        /// Install what an instance needs (systemd, sshd, Python) by the image's own package manager.
        #[arg(long)]
        install: bool,
    },
    /// Remove an image that no instance and no snapshot is made on.
    Rm { name: String },
}

pub fn run(state: &Path, given: Option<PathBuf>, command: &Image) -> Result<()> {
    let of_cloud = || State(state.to_owned()).read_cloud()?.images_dir;
    let dir = given
        .or_else(of_cloud)
        .unwrap_or_else(|| state.join("images"));
    match command {
        Image::Ls { region } => list(&dir, region),
        Image::Build { recipes, force } => {
            let mut arguments: Vec<&str> = recipes.iter().map(String::as_str).collect();
            if recipes.is_empty() {
                arguments.push("--list");
            }
            if *force {
                arguments.push("--force");
            }
            build(&dir, &arguments)
        }
        Image::Pull {
            reference,
            name,
            install,
            insecure,
        } => {
            let mut arguments = vec!["--pull", reference.as_str()];
            if let Some(name) = name {
                arguments.extend(["--name", name.as_str()]);
            }
            arguments.extend(install.then_some("--install"));
            arguments.extend(insecure.then_some("--insecure"));
            build(&dir, &arguments)
        }
        Image::Import {
            file,
            name,
            install,
        } => {
            let file = file.to_str().context("the file's name is not text")?;
            let mut arguments = vec!["--import", file, "--name", name.as_str()];
            arguments.extend(install.then_some("--install"));
            build(&dir, &arguments)
        }
        Image::Rm { name } => remove(&dir, name),
    }
}

/// Runs `images/build`, which tells its progress and its failures itself.
fn build(dir: &Path, arguments: &[&str]) -> Result<()> {
    let program = program()?;
    let status = Command::new(&program)
        .arg("--cache")
        .arg(dir)
        .args(arguments)
        .status()
        .with_context(|| format!("failed to run {}", program.display()))?;
    if !status.success() {
        bail!("no image was made; the reason is above");
    }
    Ok(())
}

/// Beside a checkout's target directory, or where a package has it.
fn program() -> Result<PathBuf> {
    let own = std::env::current_exe().context("failed to find this program")?;
    let beside = own.ancestors().skip(1).take(4).map(Path::to_owned);
    let homes = std::env::var_os("NINES_HOME").map(PathBuf::from);
    let mut places = homes
        .into_iter()
        .chain(beside)
        .chain(["/usr/share/nines".into()])
        .map(|home| home.join("images/build"));
    places.find(|path| path.is_file()).context(
        "failed to find images/build of the source tree; set NINES_HOME to the tree's directory",
    )
}

fn list(dir: &Path, region: &str) -> Result<()> {
    let built = images::built(dir);
    let known =
        model::zone::region(region).with_context(|| format!("there is no region {region}"))?;
    let users = users();
    let mut rows = vec![
        ["NAME", "SIZE", "USED BY", "AMI", "AMI NAME"]
            .map(str::to_owned)
            .to_vec(),
    ];
    for one in &built {
        let described = described(dir, one);
        let size = described["bytes"].as_u64().unwrap_or(0) / 1_000_000;
        let used = users_of(dir, &one.recipe, &users).len();
        let mut amis = standing_for(known.name, &built, &one.recipe).into_iter();
        let first = amis.next();
        rows.push(vec![
            one.recipe.clone(),
            format!("{size} MB"),
            used.to_string(),
            first.as_ref().map_or("-".into(), |i| i.id.to_string()),
            first.map_or("-".into(), |i| i.name),
        ]);
        for more in amis {
            let blank = String::new;
            rows.push(vec![
                blank(),
                blank(),
                blank(),
                more.id.to_string(),
                more.name,
            ]);
        }
        if let Some(why) = described["lacks"].as_str() {
            rows.push(vec![String::new(), format!("lacks {why}")]);
        }
    }
    print!("{}", table(&rows));
    if built.is_empty() {
        println!(
            "none in {}; `nines image build debian-12-docker` makes one",
            dir.display()
        );
    }
    Ok(())
}

fn described(dir: &Path, one: &Built) -> serde_json::Value {
    let file = dir.join(&one.recipe).join("current/image.json");
    let text = fs::read(file).unwrap_or_default();
    serde_json::from_slice(&text).unwrap_or_default()
}

fn remove(dir: &Path, name: &str) -> Result<()> {
    let image = dir.join(name);
    if name.contains('/') || !image.join("current").is_symlink() {
        bail!("there is no image {name} in {}", dir.display());
    }
    let users = users();
    let used = users_of(dir, name, &users);
    if let Some(first) = used.first() {
        bail!(
            "the image {name} is in use by {}, {first} among them; terminate instances and delete snapshots first",
            used.len()
        );
    }
    // Out of sight in one step; `images/build` removes what an interrupted removal leaves.
    let aside = dir.join(format!(".building-{name}-{}", std::process::id()));
    fs::rename(&image, &aside)
        .and_then(|()| fs::remove_dir_all(&aside))
        .with_context(|| format!("failed to remove {}", image.display()))?;
    println!("{name} is removed");
    Ok(())
}

/// Image directories that root volumes and snapshots of known clouds are made on, stopped
/// instances' too, and whose they are.
fn users() -> BTreeMap<PathBuf, BTreeSet<String>> {
    let mut found: BTreeMap<PathBuf, BTreeSet<String>> = BTreeMap::new();
    for state in states() {
        let instances = fs::read_dir(state.join("instances"));
        for entry in instances.into_iter().flatten().flatten() {
            let spec = fs::read(entry.path().join("spec.json")).unwrap_or_default();
            let spec: serde_json::Value = serde_json::from_slice(&spec).unwrap_or_default();
            if let Some(image) = spec["instance"]["image"].as_str()
                && let Ok(image) = fs::canonicalize(image)
            {
                let id = entry.file_name().to_string_lossy().into_owned();
                found.entry(image).or_default().insert(id);
            }
        }
        let snapshots = fs::read_dir(state.join("snapshots"));
        for entry in snapshots.into_iter().flatten().flatten() {
            let base = fs::read_to_string(entry.path().join("base")).unwrap_or_default();
            if let Ok(image) = fs::canonicalize(base) {
                let id = entry.file_name().to_string_lossy().into_owned();
                found.entry(image).or_default().insert(id);
            }
        }
    }
    found
}

fn users_of<'a>(
    dir: &Path,
    name: &str,
    users: &'a BTreeMap<PathBuf, BTreeSet<String>>,
) -> Vec<&'a String> {
    let Ok(home) = fs::canonicalize(dir.join(name)) else {
        return Vec::new();
    };
    let of = users.iter().filter(|(image, _)| image.starts_with(&home));
    of.flat_map(|(_, ids)| ids).collect()
}

/// State directories: the usual one, the one of the environment, and those of clouds that are up,
/// each of which has an edge (`nines edge STATE/edge`).
fn states() -> BTreeSet<PathBuf> {
    let mut found = BTreeSet::from([PathBuf::from("/var/lib/nines")]);
    found.extend(std::env::var_os("NINES_STATE").map(PathBuf::from));
    for entry in fs::read_dir("/proc").into_iter().flatten().flatten() {
        let line = fs::read(entry.path().join("cmdline")).unwrap_or_default();
        let mut words = line.split(|b| *b == 0).map(String::from_utf8_lossy);
        if words.nth(1).as_deref() == Some("edge")
            && let Some(edge) = words.next()
        {
            found.extend(Path::new(&*edge).parent().map(Path::to_owned));
        }
    }
    found
}
