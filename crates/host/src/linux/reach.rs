//! The instance status check: whether an instance's primary interface answers ARP.
//!
//! As on AWS, where the check "sends an address resolution protocol (ARP) request to the network
//! interface": it needs no rule of a security group or of a firewall inside, and finds a link that
//! was taken down or an address that was removed. The request is sent by the VPC's router, one
//! socket for all instances of a VPC, which is gone before the namespace could be missed.
//! `https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/monitoring-system-instance-status-check.html`
//!
//! Not used: pings, which the instance's own firewall may drop, and the kernel's table of
//! neighbours, which believes what traffic told it for up to a minute.

use super::namespace;
use super::network::names;
use crate::network::{Network, Owner};
use model::{InstanceId, Speed};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};
use std::{io, mem};

/// Between two rounds, of AWS's minute: as often at least, so that a fault is found within seconds
/// at any speed; not without a pause, as the packets and those who answer them are real.
const SHORTEST: Duration = Duration::from_secs(1);
const LONGEST: Duration = Duration::from_secs(5);
/// AWS checks every minute.
const EVERY_SECS: u32 = 60;
/// How long answers may take; a busy machine is no failure.
const PATIENCE: Duration = Duration::from_millis(1000);
/// Requests without an answer, one after another, that make a failure.
const MISSES: u32 = 3;

/// An instance's primary interface, seen from its VPC's router.
#[derive(Debug, Clone, PartialEq)]
struct Target {
    instance: InstanceId,
    device: String,
    address: Ipv4Addr,
}

#[derive(Default)]
struct Known {
    /// By the router's namespace.
    targets: BTreeMap<String, Vec<Target>>,
    /// Their packets are dropped, by `nines break`: so are these.
    cut: BTreeSet<InstanceId>,
    missed: BTreeMap<InstanceId, u32>,
}

/// How long it rests between two rounds.
pub fn pause(speed: Speed) -> Duration {
    let minute = speed.wait(EVERY_SECS).unsigned_abs();
    minute.clamp(SHORTEST, LONGEST)
}

#[derive(Default)]
pub struct Reach(Mutex<Known>);

impl Reach {
    fn known(&self) -> std::sync::MutexGuard<'_, Known> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes in whom to ask from the network as it stands.
    pub fn follow(&self, cloud: &str, network: &Network) {
        let mut targets: BTreeMap<String, Vec<Target>> = BTreeMap::new();
        let mut cut = BTreeSet::new();
        for (id, vpc) in &network.vpcs {
            for (interface_id, interface) in &vpc.interfaces {
                let Owner::Instance {
                    instance,
                    device: 0,
                    ..
                } = &interface.owner
                else {
                    continue;
                };
                let Some(address) = interface.addresses.first() else {
                    continue;
                };
                let zone = vpc.subnets.get(&interface.subnet).map(|s| &s.zone);
                if network.cut_interfaces.contains(interface_id)
                    || zone.is_some_and(|zone| network.cut_zones.contains(zone))
                {
                    cut.insert(instance.clone());
                }
                let router = names::router(cloud, id);
                targets.entry(router).or_default().push(Target {
                    instance: instance.clone(),
                    device: names::device(interface_id),
                    address: *address,
                });
            }
        }
        let mut known = self.known();
        let all = || targets.values().flatten();
        known
            .missed
            .retain(|id, _| all().any(|target| target.instance == *id));
        (known.targets, known.cut) = (targets, cut);
    }

    /// Asks everybody once.
    pub fn round(&self) {
        let (targets, cut) = {
            let known = self.known();
            (known.targets.clone(), known.cut.clone())
        };
        for (router, targets) in &targets {
            let answered = match namespace::enter(router, || ask(targets, &cut)) {
                Ok(Ok(answered)) => answered,
                // A router that is just being made or removed: nothing is known of its instances.
                Ok(Err(error)) | Err(error) => {
                    tracing::debug!(router, %error, "failed to ask instances whether they are there");
                    continue;
                }
            };
            let mut known = self.known();
            for target in targets {
                let missed = known.missed.entry(target.instance.clone()).or_default();
                *missed = match answered.contains(&target.instance) {
                    true => 0,
                    false => missed.saturating_add(1),
                };
            }
        }
    }

    /// `None` until it was asked.
    pub fn reachable(&self, instance: &InstanceId) -> Option<bool> {
        self.known().missed.get(instance).map(|n| *n < MISSES)
    }
}

/// Those that answered.
fn ask(targets: &[Target], cut: &BTreeSet<InstanceId>) -> io::Result<BTreeSet<InstanceId>> {
    let socket = socket()?;
    let mut asked: BTreeMap<Ipv4Addr, &InstanceId> = BTreeMap::new();
    for target in targets.iter().filter(|t| !cut.contains(&t.instance)) {
        // No device: the interface is just being made or removed, which is no answer either.
        if let Ok(index) = nix::net::if_::if_nametoindex(target.device.as_str())
            && send(&socket, index, target.address).is_ok()
        {
            asked.insert(target.address, &target.instance);
        }
    }
    let mut answered = BTreeSet::new();
    let deadline = Instant::now() + PATIENCE;
    while answered.len() < asked.len() {
        let left = deadline.saturating_duration_since(Instant::now());
        let timeout = PollTimeout::try_from(left).unwrap_or(PollTimeout::ZERO);
        let mut watched = [PollFd::new(socket.as_fd(), PollFlags::POLLIN)];
        match poll(&mut watched, timeout) {
            Ok(0) => break,
            Err(nix::errno::Errno::EINTR) | Ok(_) => {}
            Err(error) => return Err(error.into()),
        }
        let mut packet = [0; 64];
        let length = nix::sys::socket::recv(
            socket.as_raw_fd(),
            &mut packet,
            nix::sys::socket::MsgFlags::MSG_DONTWAIT,
        );
        let sender = length.ok().and_then(|n| reply(&packet[..n]));
        answered.extend(
            sender
                .and_then(|from| asked.get(&from))
                .map(|id| (*id).clone()),
        );
    }
    Ok(answered)
}

const ETHERNET_ARP: u16 = 0x0806;
/// Of no device: answers to it reach this socket nevertheless, which sees every ARP packet.
const ASKER: [u8; 6] = [0x02, 0, 0, 0, 0, 0x01];

fn socket() -> io::Result<OwnedFd> {
    let kind = libc::SOCK_DGRAM | libc::SOCK_CLOEXEC;
    // SAFETY: plain numbers; a non-negative result is a descriptor that nobody else owns.
    unsafe {
        let fd = libc::socket(libc::AF_PACKET, kind, i32::from(ETHERNET_ARP.to_be()));
        Ok(OwnedFd::from_raw_fd(nix::errno::Errno::result(fd)?))
    }
}

fn send(socket: &OwnedFd, index: u32, address: Ipv4Addr) -> io::Result<()> {
    // SAFETY: all-zero is valid for a struct of integers.
    let mut to: libc::sockaddr_ll = unsafe { mem::zeroed() };
    to.sll_family = libc::AF_PACKET as u16;
    to.sll_protocol = ETHERNET_ARP.to_be();
    to.sll_ifindex = index as i32;
    to.sll_halen = 6;
    to.sll_addr[..6].fill(0xff);
    let packet = request(address);
    // SAFETY: the packet and the address outlive the call and have the lengths passed.
    let sent = unsafe {
        libc::sendto(
            socket.as_raw_fd(),
            packet.as_ptr().cast(),
            packet.len(),
            0,
            (&raw const to).cast(),
            mem::size_of::<libc::sockaddr_ll>() as u32,
        )
    };
    nix::errno::Errno::result(sent)?;
    Ok(())
}

/// Who has the address? From nobody's (RFC 5227), so that nobody learns a wrong neighbour.
fn request(address: Ipv4Addr) -> [u8; 28] {
    let mut packet = [0; 28];
    // Ethernet, IPv4, their lengths, a request.
    packet[..8].copy_from_slice(&[0, 1, 8, 0, 6, 4, 0, 1]);
    packet[8..14].copy_from_slice(&ASKER);
    packet[24..28].copy_from_slice(&address.octets());
    packet
}

/// Whose address a reply is about.
fn reply(packet: &[u8]) -> Option<Ipv4Addr> {
    let of_ours = packet.get(..8)? == [0, 1, 8, 0, 6, 4, 0, 2] && packet.get(18..24)? == ASKER;
    let sender: [u8; 4] = packet.get(14..18)?.try_into().ok()?;
    of_ours.then(|| sender.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_minute_shrinks_to_a_second_at_most() {
        let at = |speed| pause(Speed::new(speed)).as_millis();
        let found = [1.0, 10.0, 20.0, 40.0, 60.0, 1000.0].map(at);
        assert_eq!(found, [5000, 5000, 3000, 1500, 1000, 1000]);
    }

    #[test]
    fn replies_to_us_count_and_nothing_else() {
        let address = Ipv4Addr::new(10, 0, 1, 5);
        assert_eq!(reply(&request(address)), None, "a request is no reply");
        let mut packet = request(address);
        packet[7] = 2;
        packet[14..18].copy_from_slice(&address.octets());
        packet[18..24].copy_from_slice(&ASKER);
        assert_eq!(reply(&packet), Some(address));
        assert_eq!(reply(&packet[..23]), None, "cut short");
        packet[18] = 0x06;
        assert_eq!(reply(&packet), None, "to somebody else");
        assert_eq!(reply(&[]), None);
    }
}
