//! What of a machine is left for pods: EKS's reservations for the kubelet and the system (`/etc/eks/bootstrap.sh`,
//! nodeadm), from its size and its pod limit.

use crate::config::Capacity;

/// Left for pods.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Allocatable {
    pub(crate) cpu_milli: i64,
    pub(crate) memory_bytes: u64,
    pub(crate) ephemeral_storage_bytes: u64,
}

const MEBIBYTE: u64 = 1 << 20;
/// Hard eviction threshold `memory.available<100Mi`.
const EVICTION_MEMORY: u64 = 100 * MEBIBYTE;
/// 255 MiB and 11 MiB for each pod that may run.
const RESERVED_BASE: u64 = 255 * MEBIBYTE;
const RESERVED_FOR_POD: u64 = 11 * MEBIBYTE;
/// `kubeReserved.ephemeral-storage: 1Gi`, and `nodefs.available<10%`.
const RESERVED_STORAGE: u64 = 1 << 30;

/// Thousandths of CPU reserved: 6 % of the first core, 1 % of the second, 0.5 % of the next two, 0.25 % of the rest.
fn reserved_cpu_milli(cpus: u32) -> i64 {
    let quarters = |core: u32| match core {
        0 => 240,
        1 => 40,
        2 | 3 => 20,
        _ => 10,
    };
    (0..cpus).map(quarters).sum::<i64>() / 4
}

/// See the module.
pub(crate) fn allocatable(capacity: &Capacity) -> Allocatable {
    let reserved_memory = RESERVED_BASE + RESERVED_FOR_POD * u64::from(capacity.max_pods) + EVICTION_MEMORY;
    let storage = capacity.ephemeral_storage_bytes;
    Allocatable {
        cpu_milli: i64::from(capacity.cpus) * 1000 - reserved_cpu_milli(capacity.cpus),
        memory_bytes: capacity.memory_bytes.saturating_sub(reserved_memory),
        ephemeral_storage_bytes: storage.saturating_sub(RESERVED_STORAGE + storage / 10),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn machines_keep_what_eks_reserves() {
        let check = |cpus, max_pods, cpu_milli| {
            let capacity = Capacity {
                cpus,
                max_pods,
                memory_bytes: 4096 * MEBIBYTE,
                ephemeral_storage_bytes: 20 << 30,
            };
            let left = allocatable(&capacity);
            assert_eq!(left.cpu_milli, cpu_milli, "{cpus}");
            assert_eq!(
                left.memory_bytes,
                (4096 - 100 - 255 - 11 * u64::from(max_pods)) * MEBIBYTE
            );
        };
        check(2, 17, 1930);
        check(4, 58, 3920);
        check(8, 58, 7910);
    }
}
