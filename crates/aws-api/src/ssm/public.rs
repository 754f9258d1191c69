//! Public parameters: where AWS says which machine image is the recommended one.

use aws_types::image::{self, Image};
use serde_json::{Value, json};

use crate::operations::Context;

/// Where AWS's own parameters are.
const ROOT: &str = "/aws/service/";

/// The last parts of an image's parameters, and what they hold.
fn parts(image: &Image) -> Vec<(String, String)> {
    if image.is_single {
        return vec![(image.parameter.clone(), image.id.clone())];
    }
    let part = |name: &str, value: String| (format!("{}/{name}", image.parameter), value);
    if image.owner == image::BOTTLEROCKET_OWNER {
        let version = "1.50.0".to_owned();
        return vec![part("image_id", image.id.clone()), part("image_version", version)];
    }
    vec![
        part("image_id", image.id.clone()),
        part("image_name", image.name.clone()),
        part("release_version", image.release()),
        (
            image.parameter.clone(),
            json!({"schema_version": "2", "image_id": image.id, "image_name": image.name, "release_version": image.release()})
                .to_string(),
        ),
    ]
}

/// Every public name.
pub fn names() -> Vec<String> {
    image::all().iter().flat_map(parts).map(|(name, _)| name).collect()
}

/// The value of a public parameter. Where a name has the release's image in place of `recommended`, it is the same.
pub fn value(name: &str) -> Option<String> {
    if !name.starts_with(ROOT) {
        return None;
    }
    let find = |name: &str| {
        image::all()
            .iter()
            .flat_map(parts)
            .find(|(known, _)| known == name)
            .map(|(_, value)| value)
    };
    find(name).or_else(|| {
        let pinned = image::all()
            .iter()
            .find(|image| !image.is_single && name.contains(&format!("/{}/", image.name)))?;
        find(&name.replace(&pinned.name, "recommended")).or_else(|| find(&name.replace("/1.50.0-0d0nd01/", "/latest/")))
    })
}

/// A public parameter as answers show it.
pub fn view(context: &Context, name: &str, value: &str) -> Value {
    json!({
        "Name": name, "Type": "String", "Value": value, "Version": 1, "DataType": if value.starts_with("ami-") { "aws:ec2:image" } else { "text" },
        "ARN": format!("arn:aws:ssm:{}::parameter{name}", context.region.name), "LastModifiedDate": 1_793_491_200,
    })
}
