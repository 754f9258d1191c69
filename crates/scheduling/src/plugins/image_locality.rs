//! A node that has the pod's images already is better.

use crate::plugin::{BEST, Points, Score};
use crate::snapshot::{NodeInfo, PodInfo, Snapshot};

/// `ImageLocality`
pub struct ImageLocality;

/// Images smaller than this are not worth going to a node for.
const SMALLEST: i64 = 23 * 1024 * 1024;
/// Images larger than this are worth no more, for each container.
const LARGEST: i64 = 1000 * 1024 * 1024;

impl Score for ImageLocality {
    fn name(&self) -> &'static str {
        "ImageLocality"
    }

    fn weight(&self) -> i64 {
        1
    }

    fn points<'a>(&self, pod: &'a PodInfo, _: &'a [&'a NodeInfo], snapshot: &'a Snapshot) -> Option<Points<'a>> {
        let spec = pod.pod.spec.as_ref()?;
        let containers = spec.init_containers.iter().flatten().chain(&spec.containers);
        let images: Vec<String> = containers
            .filter_map(|container| container.image.as_deref())
            .map(full_name)
            .collect();
        let total = i64::try_from(snapshot.node_count()).ok().filter(|total| *total > 0)?;
        // An image that few nodes have counts less, or all pods with it would go to the first node that has it.
        let spread: Vec<i64> = images
            .iter()
            .map(|image| snapshot.nodes().filter(|node| size_of(image, node).is_some()).count())
            .map(|having| i64::try_from(having).unwrap_or(0))
            .collect();
        Some(Box::new(move |node| {
            let present = images
                .iter()
                .zip(&spread)
                .filter_map(|(image, having)| Some(size_of(image, node)? * having / total));
            let most = LARGEST * i64::try_from(images.len()).unwrap_or(1).max(1);
            let sum = present.sum::<i64>().clamp(SMALLEST, most);
            BEST * (sum - SMALLEST) / (most - SMALLEST)
        }))
    }
}

fn size_of(image: &str, node: &NodeInfo) -> Option<i64> {
    let images = node.node.status.as_ref()?.images.as_ref()?;
    let found = images
        .iter()
        .find(|candidate| candidate.names.iter().flatten().any(|name| name == image))?;
    found.size_bytes
}

/// The image's name with a tag, as nodes report it.
fn full_name(image: &str) -> String {
    let after_slash = image.rsplit('/').next().unwrap_or(image);
    if after_slash.contains(':') || image.contains('@') {
        image.to_owned()
    } else {
        format!("{image}:latest")
    }
}
