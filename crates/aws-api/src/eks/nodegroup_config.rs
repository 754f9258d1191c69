//! `UpdateNodegroupConfig`: sizes, labels, taints and the update configuration of a node group.

use aws_types::eks::{UpdateNodegroupConfigRequest, UpdateNodegroupConfigResponse};
use cluster_lifecycle::nodegroup::{ConfigChange, Input, Nodegroup, Taint};
use cluster_lifecycle::update::{Update, UpdateStatus};
use cluster_lifecycle::{Refusal, request as rules};
use jiff::Timestamp;

use super::nodegroup::{checked_labels, scaling, taint, wake};
use super::{find_nodegroup, view};
use crate::error::ApiError;
use crate::ledger::Change;
use crate::operations::Context;

/// `UpdateNodegroupConfig`.
pub async fn update(
    context: Context,
    request: UpdateNodegroupConfigRequest,
) -> Result<UpdateNodegroupConfigResponse, ApiError> {
    let (id, now) = (context.region.random.uuid(), context.region.clock.now());
    let change = context.region.ledger.change(|state| {
        let group = find_nodegroup(
            state,
            request.cluster_name.as_deref(),
            request.nodegroup_name.as_deref(),
        )?;
        let same = |update: &&Update| {
            update.client_request_token.is_some() && update.client_request_token == request.client_request_token
        };
        let mine = |update: &&Update| update.cluster == group.cluster && update.nodegroup.as_ref() == Some(&group.name);
        if let Some(before) = state.updates.values().find(|update| same(update) && mine(update)) {
            return Ok((view::update(before), Vec::new()));
        }
        let Edit { change, params } = Edit::read(group, &request, &id, now)?;
        let update = Update {
            id: id.clone(),
            cluster: group.cluster.clone(),
            nodegroup: Some(group.name.clone()),
            addon: None,
            kind: "ConfigUpdate".to_owned(),
            params,
            created_at: now,
            status: UpdateStatus::InProgress,
            errors: Vec::new(),
            client_request_token: request.client_request_token.clone(),
        };
        let next = group.clone().step(Input::Configure(change))?;
        let next = next.ok_or_else(|| Refusal::no_nodegroup(group.cluster.as_str(), group.name.as_str()))?;
        let answer = view::update(&update);
        Ok::<_, ApiError>((answer, vec![Change::put(next), Change::put(update)]))
    });
    let update = change.await?;
    wake(&context, request.cluster_name.as_deref());
    Ok(UpdateNodegroupConfigResponse { update: Some(update) })
}

/// What the request changes, and the parameters that the update's record shows.
struct Edit {
    change: ConfigChange,
    params: Vec<(String, String)>,
}

impl Edit {
    fn read(
        group: &Nodegroup,
        request: &UpdateNodegroupConfigRequest,
        id: &str,
        now: Timestamp,
    ) -> Result<Self, Refusal> {
        let change = ConfigChange {
            update_id: id.to_owned(),
            scaling: None,
            labels: None,
            taints: None,
            max_unavailable: None,
            now,
        };
        let mut edit = Self {
            change,
            params: Vec::new(),
        };
        edit.scaling(group, request)?;
        edit.labels(group, request)?;
        edit.taints(group, request)?;
        edit.update_config(request)?;
        if edit.params.is_empty() {
            let refusal = Refusal::invalid_parameter("No changes were specified for the node group");
            return Err(refusal.of_nodegroup(group.name.as_str()));
        }
        Ok(edit)
    }

    fn param(&mut self, kind: &str, value: Option<String>) {
        self.params.extend(value.map(|value| (kind.to_owned(), value)));
    }

    fn scaling(&mut self, group: &Nodegroup, request: &UpdateNodegroupConfigRequest) -> Result<(), Refusal> {
        let Some(wanted) = &request.scaling_config else {
            return Ok(());
        };
        self.change.scaling = Some(scaling(Some(wanted), group.scaling)?);
        self.param("MinSize", wanted.min_size.map(|size| size.to_string()));
        self.param("MaxSize", wanted.max_size.map(|size| size.to_string()));
        self.param("DesiredSize", wanted.desired_size.map(|size| size.to_string()));
        Ok(())
    }

    fn labels(&mut self, group: &Nodegroup, request: &UpdateNodegroupConfigRequest) -> Result<(), Refusal> {
        let Some(wanted) = &request.labels else { return Ok(()) };
        let mut labels = group.labels.clone();
        labels.extend(checked_labels(wanted.add_or_update_labels.clone().unwrap_or_default())?);
        labels.retain(|key, _| !wanted.remove_labels.iter().flatten().any(|removed| removed == key));
        self.change.labels = Some(labels);
        self.param("LabelsToAdd", wanted.add_or_update_labels.as_ref().map(json));
        self.param("LabelsToRemove", wanted.remove_labels.as_ref().map(json));
        Ok(())
    }

    fn taints(&mut self, group: &Nodegroup, request: &UpdateNodegroupConfigRequest) -> Result<(), Refusal> {
        let Some(wanted) = &request.taints else { return Ok(()) };
        let added = wanted
            .add_or_update_taints
            .iter()
            .flatten()
            .map(taint)
            .collect::<Result<Vec<_>, _>>()?;
        let removed = wanted
            .remove_taints
            .iter()
            .flatten()
            .map(taint)
            .collect::<Result<Vec<_>, _>>()?;
        let same = |left: &Taint, right: &Taint| left.key == right.key && left.effect == right.effect;
        let mut taints = group.taints.clone();
        taints.retain(|taint| !removed.iter().chain(&added).any(|other| same(taint, other)));
        taints.extend(added);
        self.change.taints = Some(taints);
        self.param("TaintsToAdd", wanted.add_or_update_taints.as_ref().map(json));
        self.param("TaintsToRemove", wanted.remove_taints.as_ref().map(json));
        Ok(())
    }

    fn update_config(&mut self, request: &UpdateNodegroupConfigRequest) -> Result<(), Refusal> {
        let Some(wanted) = &request.update_config else {
            return Ok(());
        };
        self.change.max_unavailable = Some(rules::unavailable(
            wanted.max_unavailable,
            wanted.max_unavailable_percentage,
        )?);
        self.param("MaxUnavailable", wanted.max_unavailable.map(|count| count.to_string()));
        self.param(
            "MaxUnavailablePercentage",
            wanted.max_unavailable_percentage.map(|share| share.to_string()),
        );
        Ok(())
    }
}

fn json(value: &impl serde::Serialize) -> String {
    serde_json::to_string(value).expect("maps of strings and plain structures are JSON")
}
