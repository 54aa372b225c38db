//! What an instance's root may not do although its user namespace would let it try.
//!
//! The user namespace is the wall; this keeps away from it those parts of the kernel that
//! nothing in a system container needs and that have had holes: loading code into the
//! kernel, raw hardware, the clock, performance counters, io_uring. What systemd, apt and
//! Docker do goes on working; a forbidden call fails as it does without the right to it.
//!
//! Own instructions for the kernel's filter: the crates for it set `no_new_privs`, with
//! which neither `sudo` nor `ping` would work.

use nix::errno::Errno;

/// By number in `linux/capability.h`; they leave the bounding set for good.
const CAPABILITIES: [libc::c_ulong; 9] = [
    16, // SYS_MODULE
    17, // SYS_RAWIO
    25, // SYS_TIME
    32, // MAC_OVERRIDE
    33, // MAC_ADMIN
    34, // SYSLOG
    35, // WAKE_ALARM
    36, // BLOCK_SUSPEND
    38, // PERFMON
];

/// Fail with EPERM.
const FORBIDDEN: &[libc::c_long] = &[
    libc::SYS_init_module,
    libc::SYS_finit_module,
    libc::SYS_delete_module,
    libc::SYS_kexec_load,
    libc::SYS_kexec_file_load,
    libc::SYS_open_by_handle_at,
    libc::SYS_perf_event_open,
    libc::SYS_userfaultfd,
    libc::SYS_acct,
    libc::SYS_swapon,
    libc::SYS_swapoff,
    libc::SYS_settimeofday,
    libc::SYS_clock_settime,
    libc::SYS_syslog,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_iopl,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_ioperm,
];
/// Fail with ENOSYS: programs that would use them fall back.
const ABSENT: &[libc::c_long] = &[
    libc::SYS_io_uring_setup,
    libc::SYS_io_uring_enter,
    libc::SYS_io_uring_register,
];

#[cfg(target_arch = "x86_64")]
const ARCHITECTURE: u32 = 0xC000_003E;
#[cfg(target_arch = "aarch64")]
const ARCHITECTURE: u32 = 0xC000_00B7;
/// Bit of the x32 variants of system calls, which nothing uses any more.
const X32: u32 = 0x4000_0000;

pub struct Filter(Vec<libc::sock_filter>);

/// Takes the caller's keys away: whoever started the control plane may keep some in a session keyring
/// (PAM gives each login one), and children possess what their parents do, in any user namespace.
fn leave_keyring() -> nix::Result<()> {
    const JOIN_SESSION_KEYRING: libc::c_long = 1;
    // SAFETY: no name is given, so a new keyring without one is made.
    let joined = unsafe { libc::syscall(libc::SYS_keyctl, JOIN_SESSION_KEYRING, 0) };
    match Errno::result(joined) {
        // A kernel without keys; a host, itself a container, that may not use them, nor may its children.
        Ok(_) | Err(Errno::ENOSYS | Errno::EPERM) => Ok(()),
        Err(e) => Err(e),
    }
}

/// Confines the calling process and all its descendants. It must have CAP_SYS_ADMIN and
/// CAP_SETPCAP in its user namespace. Allocates nothing.
pub fn confine(filter: &Filter) -> nix::Result<()> {
    leave_keyring()?;
    for number in CAPABILITIES {
        // SAFETY: plain numbers.
        let done = unsafe { libc::prctl(libc::PR_CAPBSET_DROP, number, 0, 0, 0) };
        match Errno::result(done) {
            // A kernel that does not know it cannot give it either.
            Ok(_) | Err(Errno::EINVAL) => {}
            Err(e) => return Err(e),
        }
    }
    let program = libc::sock_fprog {
        len: filter.0.len() as u16,
        filter: filter.0.as_ptr().cast_mut(),
    };
    // SAFETY: the program points to instructions that outlive the call, which only reads them.
    let done = unsafe {
        libc::syscall(
            libc::SYS_seccomp,
            libc::SECCOMP_SET_MODE_FILTER,
            0,
            &raw const program,
        )
    };
    Errno::result(done).map(drop)
}

/// Sockets to the machine's hypervisor, which no network namespace holds back.
const AF_VSOCK: u32 = 40;

/// Calls of another architecture (32-bit programs) do not exist; the listed ones fail; the
/// rest goes through.
pub fn filter() -> Filter {
    let load = |offset| statement(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, offset);
    let fail = |errno: i32| {
        statement(
            libc::BPF_RET | libc::BPF_K,
            libc::SECCOMP_RET_ERRNO | errno as u32,
        )
    };
    // Offsets in `struct seccomp_data`: the number, the architecture, from 16 the arguments.
    let mut code = vec![
        load(4),
        jump(libc::BPF_JEQ, ARCHITECTURE, 1, 0),
        fail(libc::ENOSYS),
        load(0),
        jump(libc::BPF_JGE, X32, 0, 1),
        fail(libc::ENOSYS),
    ];
    for (calls, errno) in [(FORBIDDEN, libc::EPERM), (ABSENT, libc::ENOSYS)] {
        for call in calls {
            code.push(jump(libc::BPF_JEQ, *call as u32, 0, 1));
            code.push(fail(errno));
        }
    }
    code.extend([
        jump(libc::BPF_JEQ, libc::SYS_socket as u32, 0, 3),
        load(16),
        jump(libc::BPF_JEQ, AF_VSOCK, 0, 1),
        fail(libc::EAFNOSUPPORT),
    ]);
    code.push(statement(
        libc::BPF_RET | libc::BPF_K,
        libc::SECCOMP_RET_ALLOW,
    ));
    Filter(code)
}

fn statement(code: u32, k: u32) -> libc::sock_filter {
    libc::sock_filter {
        code: code as u16,
        jt: 0,
        jf: 0,
        k,
    }
}

fn jump(condition: u32, k: u32, jt: u8, jf: u8) -> libc::sock_filter {
    libc::sock_filter {
        code: (libc::BPF_JMP | condition | libc::BPF_K) as u16,
        jt,
        jf,
        k,
    }
}
