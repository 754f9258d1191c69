//! The default system call filter: what is not listed is refused with EPERM.
#![allow(
    unsafe_code,
    reason = "a filter that keeps the right to new privileges is installed by a raw system call"
)]

use std::collections::BTreeMap;
use std::io;

use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter, SeccompRule, TargetArch,
};

use super::syscalls;

/// Why there is no filter.
#[derive(Debug, thiserror::Error)]
pub enum SeccompError {
    /// The rules do not make a program.
    #[error("the rules cannot be compiled: {0}")]
    Compile(#[from] seccompiler::BackendError),
    /// The kernel refused the program.
    #[error("the kernel refuses it: {0}")]
    Install(io::Error),
}

/// The namespaces that clone may make only with CAP_SYS_ADMIN.
const NAMESPACE_FLAGS: u64 = 0x7e02_0000;

const TARGET: TargetArch = if cfg!(target_arch = "aarch64") {
    TargetArch::aarch64
} else {
    TargetArch::x86_64
};

/// Filters this process from now on. `capabilities` widen the list, as they do in containerd and Docker.
pub fn install(capabilities: u64) -> Result<(), SeccompError> {
    if !syscalls::has_administrator(capabilities) {
        // glibc tries clone3 first, whose flags no filter can read, and falls back to clone when the kernel does not know it.
        let unknown = SeccompAction::Errno(libc::ENOSYS.cast_unsigned());
        let rules = BTreeMap::from([(libc::SYS_clone3, Vec::new())]);
        load(&SeccompFilter::new(rules, SeccompAction::Allow, unknown, TARGET)?.try_into()?)?;
    }
    let mut rules: BTreeMap<i64, Vec<SeccompRule>> = syscalls::allowed(capabilities)
        .map(|number| (number, Vec::new()))
        .collect();
    if !syscalls::has_administrator(capabilities) {
        let no_namespace =
            SeccompCondition::new(0, SeccompCmpArgLen::Qword, SeccompCmpOp::MaskedEq(NAMESPACE_FLAGS), 0)?;
        rules.insert(libc::SYS_clone, vec![SeccompRule::new(vec![no_namespace])?]);
    }
    let personalities = [0x0, 0x8, 0x2_0000, 0x2_0008, 0xffff_ffff].map(|value| {
        SeccompCondition::new(0, SeccompCmpArgLen::Dword, SeccompCmpOp::Eq, value)
            .and_then(|is| SeccompRule::new(vec![is]))
    });
    rules.insert(
        libc::SYS_personality,
        personalities.into_iter().collect::<Result<_, _>>()?,
    );
    let refuse = SeccompAction::Errno(libc::EPERM.cast_unsigned());
    load(&SeccompFilter::new(rules, refuse, SeccompAction::Allow, TARGET)?.try_into()?)
}

fn load(program: &BpfProgram) -> Result<(), SeccompError> {
    let length = u16::try_from(program.len()).map_err(|error| SeccompError::Install(io::Error::other(error)))?;
    let argument = libc::sock_fprog {
        len: length,
        filter: program.as_ptr().cast_mut().cast(),
    };
    // SAFETY: `sock_filter` has the kernel's layout in both crates; the program outlives the call, which only reads it.
    let result = unsafe { libc::syscall(libc::SYS_seccomp, libc::SECCOMP_SET_MODE_FILTER, 0, &raw const argument) };
    if result < 0 {
        Err(SeccompError::Install(io::Error::last_os_error()))
    } else {
        Ok(())
    }
}
