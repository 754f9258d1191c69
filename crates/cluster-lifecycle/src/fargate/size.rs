//! How big a pod's node is: the smallest of Fargate's combinations of processors and memory that holds what it asks for.
//!
//! Source: "Fargate Pod configuration" of the EKS user guide.

use serde::{Deserialize, Serialize};

/// A combination of processors and memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Size {
    /// Thousandths of a processor.
    pub millicpus: u32,
    /// MiB.
    pub memory_mib: u32,
}

/// Memory that Kubernetes' own components on the node need, in bytes.
const OWN_MEMORY: u64 = 256 << 20;

/// For each number of processors (in thousandths) the smallest and largest memory and the step between, in MiB.
const COMBINATIONS: &[(u32, &[u32])] = &[
    (250, &[512, 1024, 2048]),
    (500, &[1024, 2048, 3072, 4096]),
    (1000, &[2048, 3072, 4096, 5120, 6144, 7168, 8192]),
];

/// Larger ones: thousandths of processors, smallest, largest and step of memory in GiB.
const RANGES: &[(u32, u32, u32, u32)] = &[
    (2000, 4, 16, 1),
    (4000, 8, 30, 1),
    (8000, 16, 60, 4),
    (16000, 32, 120, 8),
];

impl Size {
    /// The size for what a pod asks for; `None` when Fargate has none as big.
    #[must_use]
    pub fn of(millicpus: u64, memory_bytes: u64) -> Option<Self> {
        let memory = (memory_bytes + OWN_MEMORY).div_ceil(1 << 20);
        let small = COMBINATIONS
            .iter()
            .flat_map(|(cpus, memories)| memories.iter().map(move |memory| (*cpus, *memory)));
        let large = RANGES.iter().flat_map(|(cpus, from, to, step)| {
            let steps = (*from..=*to).step_by(*step as usize);
            steps.map(move |memory| (*cpus, memory * 1024))
        });
        let mut all = small.chain(large);
        let (millicpus, memory_mib) =
            all.find(|(cpus, mib)| u64::from(*cpus) >= millicpus && u64::from(*mib) >= memory)?;
        Some(Self { millicpus, memory_mib })
    }

    /// As the pod's annotation `CapacityProvisioned` says it: `0.25vCPU 0.5GB`.
    #[must_use]
    pub fn shown(self) -> String {
        let number = |thousandths: u64| {
            let text = format!("{}.{:03}", thousandths / 1000, thousandths % 1000);
            text.trim_end_matches('0').trim_end_matches('.').to_owned()
        };
        let gigabytes = u64::from(self.memory_mib) * 1000 / 1024;
        format!("{}vCPU {}GB", number(self.millicpus.into()), number(gigabytes))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pod_gets_the_smallest_size_that_holds_it_and_kubernetes_own_share() {
        let shown = |millicpus, mib: u64| Size::of(millicpus, mib << 20).map(Size::shown);
        for (millicpus, mib, size) in [
            (0, 0, Some("0.25vCPU 0.5GB")),
            (250, 256, Some("0.25vCPU 0.5GB")),
            (250, 257, Some("0.25vCPU 1GB")),
            (250, 2048, Some("0.5vCPU 3GB")),
            (251, 0, Some("0.5vCPU 1GB")),
            (1000, 8192, Some("2vCPU 9GB")),
            (4000, 30 * 1024 - 256, Some("4vCPU 30GB")),
            (4000, 30 * 1024, Some("8vCPU 32GB")),
            (16000, 120 * 1024 - 256, Some("16vCPU 120GB")),
            (16000, 120 * 1024, None),
            (16001, 0, None),
        ] {
            assert_eq!(shown(millicpus, mib).as_deref(), size, "{millicpus} {mib}");
        }
    }
}
