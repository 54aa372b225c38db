//! `nines env` and `nines tf`: unmodified tools, pointed here.

use anyhow::{Context, Result, bail};
use std::ffi::OsString;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;

/// An address, not a name: with one, S3 clients use path style, which needs no DNS.
fn variables(port: u16) -> [(&'static str, String); 6] {
    [
        ("AWS_ENDPOINT_URL", format!("http://127.0.0.1:{port}")),
        ("AWS_ACCESS_KEY_ID", "test".into()),
        ("AWS_SECRET_ACCESS_KEY", "test".into()),
        ("AWS_DEFAULT_REGION", "us-east-1".into()),
        ("AWS_REGION", "us-east-1".into()),
        // The SDKs would otherwise ask the host's own metadata service for a region or credentials.
        ("AWS_EC2_METADATA_DISABLED", "true".into()),
    ]
}

pub fn print(port: u16) -> Result<()> {
    for (name, value) in variables(port) {
        println!("export {name}={value}");
    }
    Ok(())
}

/// Runs terraform (or tofu) in place of this process.
pub fn terraform(port: u16, state: &Path, arguments: &[OsString]) -> Result<()> {
    let Some(program) = ["terraform", "tofu"]
        .into_iter()
        .find(|name| find_program(name).is_some())
    else {
        bail!("neither terraform nor tofu is on the PATH; `make tools` installs one");
    };
    let mut command = Command::new(program);
    command.args(arguments);
    for (name, value) in variables(port) {
        // What the user has chosen (a region, an account) stays, but calls must not leave for AWS.
        if name == "AWS_ENDPOINT_URL" || std::env::var_os(name).is_none() {
            command.env(name, value);
        }
    }
    let configured =
        std::env::var_os("TF_CLI_CONFIG_FILE").is_some_and(|file| Path::new(&file).exists());
    if !configured && let Some(mirror) = provider_mirror() {
        let file = state.join("terraform.rc");
        let text = format!(
            "provider_installation {{\n  filesystem_mirror {{\n    path = \"{0}\"\n    include = [\"registry.terraform.io/hashicorp/aws\", \"registry.opentofu.org/hashicorp/aws\"]\n  }}\n  direct {{\n    exclude = [\"registry.terraform.io/hashicorp/aws\"]\n  }}\n}}\n",
            mirror.display()
        );
        std::fs::create_dir_all(state)
            .and_then(|()| std::fs::write(&file, text))
            .with_context(|| format!("failed to write {}", file.display()))?;
        command.env("TF_CLI_CONFIG_FILE", file);
    }
    Err(command.exec()).with_context(|| format!("failed to run {program}"))
}

fn find_program(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path)
        .map(|dir| dir.join(name))
        .find(|file| file.is_file())
}

/// A directory that holds `registry.terraform.io/hashicorp/aws`, as a provider mirror does.
///
/// `NINES_PLUGIN_MIRROR` names one; else the places Terraform looks in itself, and
/// what lies one or two levels below `/opt` and `/usr/local/share`.
fn provider_mirror() -> Option<PathBuf> {
    let holds = |dir: &PathBuf| dir.join("registry.terraform.io/hashicorp/aws").is_dir();
    let named = std::env::var_os("NINES_PLUGIN_MIRROR").map(PathBuf::from);
    let home =
        std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".terraform.d/plugins"));
    let below = |root: &str| {
        std::fs::read_dir(root)
            .into_iter()
            .flatten()
            .flatten()
            .map(|entry| entry.path())
            .collect::<Vec<_>>()
    };
    let mut places: Vec<PathBuf> = named.into_iter().chain(home).collect();
    for root in ["/usr/share/terraform", "/usr/local/share/terraform", "/opt"] {
        places.extend(below(root));
    }
    places.into_iter().find(holds)
}
