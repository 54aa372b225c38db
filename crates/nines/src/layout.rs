//! Where a cloud keeps its things, and how its parts are addressed.

use crate::certificate::Certificates;
use ipnet::Ipv4Net;
use serde::{Deserialize, Serialize};
use std::net::Ipv4Addr;
use std::path::PathBuf;

/// Choices of `nines up` that later commands (and the next `up`) must know.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Cloud {
    pub name: String,
    pub port: u16,
    pub speed: f64,
    pub offline: bool,
    pub public_pool: Ipv4Net,
    /// Absent when names shall not be written to the host's table.
    pub hosts_file: Option<PathBuf>,
    pub pid: u32,
    /// `down` ended the instances: the next `up` starts again those that ran.
    #[serde(default)]
    pub halted: bool,
    /// Of a machine in memory: there is nothing on the host to remove.
    #[serde(default)]
    pub simulated: bool,
    /// Where its machine images lie.
    #[serde(default)]
    pub images_dir: Option<PathBuf>,
    /// Host settings that `up` raised, with their former values, for `down --purge`.
    pub sysctls: Vec<(String, String)>,
}

/// The directory of `--state`.
#[derive(Debug, Clone)]
pub struct State(pub PathBuf);

impl State {
    pub fn cloud_file(&self) -> PathBuf {
        self.0.join("cloud.json")
    }
    pub fn log(&self, of: &str) -> PathBuf {
        self.0.join("log").join(format!("{of}.log"))
    }
    pub fn balancer(&self) -> PathBuf {
        self.0.join("balancer")
    }
    pub fn edge(&self) -> PathBuf {
        self.0.join("edge")
    }
    /// OCI layouts that the registry on the internet side serves.
    pub fn registry(&self) -> PathBuf {
        self.0.join("registry")
    }
    /// Where the APIs take what instances ask.
    pub fn api_socket(&self) -> PathBuf {
        self.0.join("api.sock")
    }
    pub fn certificates(&self) -> Certificates {
        Certificates::of(self.0.join("certificates"))
    }
    pub fn read_cloud(&self) -> Option<Cloud> {
        serde_json::from_slice(&std::fs::read(self.cloud_file()).ok()?).ok()
    }
    pub fn write_cloud(&self, cloud: &Cloud) -> std::io::Result<()> {
        let fresh = self.0.join("cloud.json.new");
        std::fs::write(&fresh, serde_json::to_vec_pretty(cloud)?)?;
        std::fs::rename(fresh, self.cloud_file())
    }
}

/// The n-th address of the pool; the first 256 are the cloud's own.
fn service_address(pool: Ipv4Net, n: u32) -> Ipv4Addr {
    (u32::from(pool.network()) + n).into()
}

/// Serves container images to instances, as Docker Hub would.
pub fn registry_address(pool: Ipv4Net) -> Ipv4Addr {
    service_address(pool, 10)
}
/// Tells a caller its public address, as checkip.amazonaws.com does.
pub fn checkip_address(pool: Ipv4Net) -> Ipv4Addr {
    service_address(pool, 11)
}

/// EC2 Instance Connect Endpoints.
pub fn tunnels_address(pool: Ipv4Net) -> Ipv4Addr {
    service_address(pool, 13)
}

/// Name servers of Route 53's public zones, and where its health checks come from.
pub fn name_server_address(pool: Ipv4Net) -> Ipv4Addr {
    model::route53::checker(pool)
}

/// The APIs, under AWS's names.
pub fn api_address(pool: Ipv4Net) -> Ipv4Addr {
    service_address(pool, 12)
}
