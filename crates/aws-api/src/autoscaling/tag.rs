//! Tags of users' groups. Those of a managed node group's are EKS's.

use serde_json::Value;

use super::{group, invalid, of_nodegroups};
use crate::error::ApiError;
use crate::fleet::group::AutoScalingGroup;
use crate::ledger::{Change, State};
use crate::members::{Members, nothing};
use crate::operations::Context;

async fn change(
    context: &Context,
    input: &Value,
    edit: impl Fn(&mut AutoScalingGroup, &Value),
) -> Result<Value, ApiError> {
    let decide = |state: &State| {
        let mut changed: std::collections::BTreeMap<String, AutoScalingGroup> = Default::default();
        for tag in input.list("Tags") {
            let name = tag.text("ResourceId").unwrap_or_default();
            if of_nodegroups(state).any(|(_, group)| group.auto_scaling_group == name) {
                return Err(invalid(
                    "Tags of a managed node group's Auto Scaling group are changed by EKS's TagResource here",
                ));
            }
            let mut group = match changed.remove(name) {
                Some(group) => group,
                None => group::find(state, name)?.clone(),
            };
            edit(&mut group, tag);
            changed.insert(name.to_owned(), group);
        }
        Ok::<_, ApiError>((nothing(), changed.into_values().map(Change::put).collect()))
    };
    context.region.ledger.change(decide).await
}

/// `CreateOrUpdateTags`.
pub async fn create(context: Context, input: Value) -> Result<Value, ApiError> {
    change(&context, &input, |group, tag| {
        let known = group.tags.get(tag.required("Key")).map(|(_, propagates)| *propagates);
        let propagates = tag.flag("PropagateAtLaunch").or(known).unwrap_or(false);
        group.tags.insert(
            tag.required("Key").to_owned(),
            (tag.required("Value").to_owned(), propagates),
        );
    })
    .await
}

/// `DeleteTags`.
pub async fn delete(context: Context, input: Value) -> Result<Value, ApiError> {
    change(&context, &input, |group, tag| {
        drop(group.tags.remove(tag.required("Key")))
    })
    .await
}

/// `DescribeTags`.
pub async fn describe(context: Context, input: Value) -> Result<Value, ApiError> {
    let fits = |view: &Value| {
        input.list("Filters").iter().all(|filter| {
            let member = match filter.required("Name") {
                "auto-scaling-group" => "ResourceId",
                "key" => "Key",
                "value" => "Value",
                "propagate-at-launch" => {
                    let shown = view.flag("PropagateAtLaunch").unwrap_or(false).to_string();
                    return filter
                        .texts("Values")
                        .iter()
                        .any(|wanted| wanted.eq_ignore_ascii_case(&shown));
                }
                _ => return true,
            };
            filter.texts("Values").contains(&view.required(member))
        })
    };
    let views = context.region.ledger.read(|state| {
        let managed = of_nodegroups(state).flat_map(|(cluster, group)| super::managed::tag_views(cluster, group));
        let own = state.groups.values().flat_map(group::tag_views);
        managed.chain(own).filter(fits).collect()
    });
    super::page(&input, "Tags", views)
}
