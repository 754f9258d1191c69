//! Machine images that instances can be started from: those that EKS publishes for each version, and Amazon Linux. All of
//! them start the same software here; names, owners and parameters are AWS's.

use std::sync::OnceLock;

use crate::eks_version::{EksVersion, VERSIONS};

/// The release date in names of images.
pub const RELEASE: &str = "20261101";
/// The account that publishes EKS's images.
pub const EKS_OWNER: &str = "602401143452";
/// The account that publishes Amazon Linux.
pub const AMAZON_LINUX_OWNER: &str = "137112412989";
/// The account that publishes Bottlerocket.
pub const BOTTLEROCKET_OWNER: &str = "092701018921";

/// An image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Image {
    /// `ami-` and 17 hexadecimal digits.
    pub id: String,
    /// Its name.
    pub name: String,
    /// EKS's type of it, such as `AL2023_x86_64_STANDARD`; empty for images that are not EKS's.
    pub ami_type: &'static str,
    /// `x86_64` or `arm64`.
    pub architecture: &'static str,
    /// The account that publishes it.
    pub owner: &'static str,
    /// What it is, in a sentence of ours.
    pub description: String,
    /// The Kubernetes release of an EKS image, such as `1.33.5`.
    pub kubernetes: Option<&'static str>,
    /// The path of its public parameters, up to `image_id`, or the whole name where a parameter has no others beside it.
    pub parameter: String,
    /// Whether the parameter's name is the whole path.
    pub is_single: bool,
}

impl Image {
    /// The root device.
    pub fn root_device(&self) -> &'static str {
        "/dev/xvda"
    }

    /// The size of the root volume in GiB.
    pub fn root_size(&self) -> i64 {
        if self.owner == BOTTLEROCKET_OWNER { 2 } else { 20 }
    }

    /// What EKS calls the release.
    pub fn release(&self) -> String {
        self.kubernetes
            .map(|patch| format!("{patch}-{RELEASE}"))
            .unwrap_or_default()
    }
}

/// A family of EKS's images: type, architecture, and the words of names and parameters (`{}` is the minor version).
struct Family(&'static str, &'static str, &'static str, &'static str, &'static str);

const FAMILIES: &[Family] = &[
    Family(
        "AL2023_x86_64_STANDARD",
        "x86_64",
        EKS_OWNER,
        "amazon-eks-node-al2023-x86_64-standard-{}",
        "/aws/service/eks/optimized-ami/{}/amazon-linux-2023/x86_64/standard/recommended",
    ),
    Family(
        "AL2023_ARM_64_STANDARD",
        "arm64",
        EKS_OWNER,
        "amazon-eks-node-al2023-arm64-standard-{}",
        "/aws/service/eks/optimized-ami/{}/amazon-linux-2023/arm64/standard/recommended",
    ),
    Family(
        "AL2023_x86_64_NVIDIA",
        "x86_64",
        EKS_OWNER,
        "amazon-eks-node-al2023-x86_64-nvidia-{}",
        "/aws/service/eks/optimized-ami/{}/amazon-linux-2023/x86_64/nvidia/recommended",
    ),
    Family(
        "AL2023_ARM_64_NVIDIA",
        "arm64",
        EKS_OWNER,
        "amazon-eks-node-al2023-arm64-nvidia-{}",
        "/aws/service/eks/optimized-ami/{}/amazon-linux-2023/arm64/nvidia/recommended",
    ),
    Family(
        "AL2023_x86_64_NEURON",
        "x86_64",
        EKS_OWNER,
        "amazon-eks-node-al2023-x86_64-neuron-{}",
        "/aws/service/eks/optimized-ami/{}/amazon-linux-2023/x86_64/neuron/recommended",
    ),
    Family(
        "AL2_x86_64",
        "x86_64",
        EKS_OWNER,
        "amazon-eks-node-{}",
        "/aws/service/eks/optimized-ami/{}/amazon-linux-2/recommended",
    ),
    Family(
        "AL2_x86_64_GPU",
        "x86_64",
        EKS_OWNER,
        "amazon-eks-gpu-node-{}",
        "/aws/service/eks/optimized-ami/{}/amazon-linux-2-gpu/recommended",
    ),
    Family(
        "AL2_ARM_64",
        "arm64",
        EKS_OWNER,
        "amazon-eks-arm64-node-{}",
        "/aws/service/eks/optimized-ami/{}/amazon-linux-2-arm64/recommended",
    ),
    Family(
        "BOTTLEROCKET_x86_64",
        "x86_64",
        BOTTLEROCKET_OWNER,
        "bottlerocket-aws-k8s-{}-x86_64",
        "/aws/service/bottlerocket/aws-k8s-{}/x86_64/latest",
    ),
    Family(
        "BOTTLEROCKET_ARM_64",
        "arm64",
        BOTTLEROCKET_OWNER,
        "bottlerocket-aws-k8s-{}-aarch64",
        "/aws/service/bottlerocket/aws-k8s-{}/arm64/latest",
    ),
    Family(
        "BOTTLEROCKET_x86_64_NVIDIA",
        "x86_64",
        BOTTLEROCKET_OWNER,
        "bottlerocket-aws-k8s-{}-nvidia-x86_64",
        "/aws/service/bottlerocket/aws-k8s-{}-nvidia/x86_64/latest",
    ),
    Family(
        "BOTTLEROCKET_ARM_64_NVIDIA",
        "arm64",
        BOTTLEROCKET_OWNER,
        "bottlerocket-aws-k8s-{}-nvidia-aarch64",
        "/aws/service/bottlerocket/aws-k8s-{}-nvidia/arm64/latest",
    ),
];

/// The last version for which Amazon Linux 2 was published.
const LAST_AL2: u32 = 32;

/// Every image.
pub fn all() -> &'static [Image] {
    static ALL: OnceLock<Vec<Image>> = OnceLock::new();
    ALL.get_or_init(|| {
        let of_eks = VERSIONS.iter().flat_map(|version| {
            let published = |family: &&Family| version.minor_number() <= LAST_AL2 || !family.0.starts_with("AL2_");
            FAMILIES
                .iter()
                .filter(published)
                .map(move |family| of_family(version, family))
        });
        of_eks.chain(amazon_linux()).collect()
    })
}

fn of_family(version: &EksVersion, Family(ami_type, architecture, owner, name, parameter): &Family) -> Image {
    let is_bottlerocket = *owner == BOTTLEROCKET_OWNER;
    let suffix = if is_bottlerocket {
        "v1.50.0-0d0nd01".to_owned()
    } else {
        format!("v{RELEASE}")
    };
    Image {
        id: id_of(ami_type, &format!("{}-{RELEASE}", version.patch)),
        name: format!("{}-{suffix}", name.replace("{}", version.minor)),
        ami_type,
        architecture,
        owner,
        description: format!("EKS node image {ami_type} for Kubernetes {}", version.patch),
        kubernetes: Some(version.patch),
        parameter: parameter.replace("{}", version.minor),
        is_single: false,
    }
}

fn amazon_linux() -> impl Iterator<Item = Image> {
    let variants = [
        ("x86_64", "default"),
        ("arm64", "default"),
        ("x86_64", "6.1"),
        ("arm64", "6.1"),
    ];
    variants.into_iter().map(|(architecture, kernel)| Image {
        id: id_of("al2023", architecture),
        name: format!("al2023-ami-2023.9.{RELEASE}.0-kernel-6.1-{architecture}"),
        ami_type: "",
        architecture,
        owner: AMAZON_LINUX_OWNER,
        description: format!("Amazon Linux 2023 ({architecture})"),
        kubernetes: None,
        parameter: format!("/aws/service/ami-amazon-linux-latest/al2023-ami-kernel-{kernel}-{architecture}"),
        is_single: true,
    })
}

/// The image of that id.
pub fn find(id: &str) -> Option<&'static Image> {
    all().iter().find(|image| image.id == id)
}

/// The id of EKS's image of a type and release: the same for the same two.
pub fn id_of(ami_type: &str, release: &str) -> String {
    let text = format!("{ami_type}/{release}");
    let number = text.bytes().fold(0xcbf2_9ce4_8422_2325, |hash: u64, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    format!("ami-{number:017x}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_image_of_a_release_is_found_by_its_id() {
        for version in VERSIONS {
            let id = id_of("AL2023_x86_64_STANDARD", &format!("{}-{RELEASE}", version.patch));
            assert_eq!(find(&id).and_then(|image| image.kubernetes), Some(version.patch));
        }
        let parameters: std::collections::BTreeSet<&str> = all().iter().map(|image| image.parameter.as_str()).collect();
        assert_eq!(parameters.len(), all().len(), "every image has a parameter of its own");
    }
}
