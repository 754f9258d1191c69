//! CloudFormation stacks as eksctl makes them: by name, waited for, found again by their tags, deleted.

use std::collections::BTreeMap;
use std::time::Duration;

use clock::{Random, SystemRandom};
use stack_planner::Node;

use crate::aws::{AwsError, Element};
use crate::session::{CommandError, Made, Session, Timer};

/// A stack as it was described.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stack {
    /// Its id.
    pub id: String,
    /// Its name.
    pub name: String,
    /// Its status.
    pub status: String,
    /// Why it has the status.
    pub reason: String,
    /// Its outputs.
    pub outputs: BTreeMap<String, String>,
    /// Its tags.
    pub tags: BTreeMap<String, String>,
    /// What was allowed to it, `CAPABILITY_IAM`.
    pub capabilities: Vec<String>,
    /// When it was made, as CloudFormation writes it.
    pub created: String,
}

/// The tag by which a cluster's stacks are known.
pub const CLUSTER_TAG: &str = "alpha.eksctl.io/cluster-name";

impl Stack {
    fn read(element: &Element) -> Self {
        let text = |name: &str| element.member(name).unwrap_or_default().to_owned();
        let pairs = |list: &str, key: &str, value: &str| {
            let pairs = element.list(list).iter();
            let pair = |one: &Element| Some((one.member(key)?.to_owned(), one.member(value)?.to_owned()));
            pairs.filter_map(pair).collect()
        };
        Self {
            id: text("StackId"),
            name: text("StackName"),
            status: text("StackStatus"),
            reason: text("StackStatusReason"),
            outputs: pairs("Outputs", "OutputKey", "OutputValue"),
            tags: pairs("Tags", "Key", "Value"),
            capabilities: element
                .list("Capabilities")
                .iter()
                .map(|one| one.text.clone())
                .collect(),
            created: text("CreationTime"),
        }
    }
}

impl Session {
    /// The stack of that name; `None` when there is none.
    ///
    /// # Errors
    /// Other answers than that.
    pub async fn stack(&self, name: &str) -> Result<Option<Stack>, AwsError> {
        match self.aws.cloudformation("DescribeStacks", &[("StackName", name)]).await {
            Ok(answer) => Ok(answer.list("Stacks").first().map(Stack::read)),
            Err(error) if error.code() == "ValidationError" => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Every stack of a cluster, by its tag, in order of names.
    ///
    /// # Errors
    /// What CloudFormation answers.
    pub async fn stacks_of(&self, cluster: &str) -> Result<Vec<Stack>, AwsError> {
        let mut found = Vec::new();
        let mut token = None::<String>;
        loop {
            let given: Vec<(&str, &str)> = token.iter().map(|token| ("NextToken", token.as_str())).collect();
            let page = self.aws.cloudformation("DescribeStacks", &given).await?;
            found.extend(page.list("Stacks").iter().map(Stack::read));
            token = page.find("NextToken").map(|token| token.text.clone());
            if token.is_none() {
                break;
            }
        }
        found.retain(|stack| stack.tags.get(CLUSTER_TAG).is_some_and(|owner| owner == cluster));
        found.sort_by(|left, right| left.name.cmp(&right.name));
        Ok(found)
    }

    /// Makes a stack of that name, or finds it made, and waits until it is complete.
    ///
    /// # Errors
    /// When it cannot be made: with the reason of the resource that failed.
    pub async fn create_stack(
        &self,
        cluster: &str,
        name: &str,
        template: &Node,
        tags: &[(&str, &str)],
        limit: Duration,
    ) -> Made<Stack> {
        let body = serde_json::to_string(template)?;
        let token = SystemRandom.uuid();
        let mut parameters: Vec<(String, String)> = vec![
            ("StackName".to_owned(), name.to_owned()),
            ("TemplateBody".to_owned(), body),
            ("Capabilities.member.1".to_owned(), "CAPABILITY_NAMED_IAM".to_owned()),
            ("EnableTerminationProtection".to_owned(), "true".to_owned()),
            ("ClientRequestToken".to_owned(), token),
        ];
        let own = [
            (CLUSTER_TAG, cluster),
            ("eksctl.cluster.k8s.io/v1alpha1/cluster-name", cluster),
        ];
        for (index, (key, value)) in own.iter().chain(tags).enumerate() {
            parameters.push((format!("Tags.member.{}.Key", index + 1), (*key).to_owned()));
            parameters.push((format!("Tags.member.{}.Value", index + 1), (*value).to_owned()));
        }
        let parameters: Vec<(&str, &str)> = parameters
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()))
            .collect();
        match self.aws.cloudformation("CreateStack", &parameters).await {
            Ok(_) => {}
            Err(error) if error.code() == "AlreadyExists" => {}
            Err(error) => return Err(error.into()),
        }
        self.wait_for_stack(name, limit).await
    }

    /// Puts another template in the place of a stack's. One that changes nothing is success.
    ///
    /// # Errors
    /// When it cannot be updated.
    pub async fn update_stack(&self, name: &str, template: &Node, limit: Duration) -> Made<Stack> {
        let body = serde_json::to_string(template)?;
        let parameters = [
            ("StackName", name),
            ("TemplateBody", body.as_str()),
            ("Capabilities.member.1", "CAPABILITY_NAMED_IAM"),
        ];
        match self.aws.cloudformation("UpdateStack", &parameters).await {
            Ok(_) => {}
            Err(AwsError::Service { message, .. }) if message.contains("No updates are to be performed") => {}
            Err(error) => return Err(error.into()),
        }
        self.wait_for_stack(name, limit).await
    }

    async fn wait_for_stack(&self, name: &str, limit: Duration) -> Made<Stack> {
        let mut timer = Timer::new(format!("stack {name}"), limit);
        loop {
            let gone = || CommandError::Usage(format!("stack {name} is gone"));
            let stack = self.stack(name).await?.ok_or_else(gone)?;
            match stack.status.as_str() {
                "CREATE_COMPLETE" | "UPDATE_COMPLETE" => return Ok(stack),
                status if status.ends_with("_IN_PROGRESS") => timer.pause(status).await?,
                status => {
                    let reason = self.failure(name).await?.unwrap_or(stack.reason.clone());
                    return Err(CommandError::Usage(format!("stack {name} is {status}: {reason}")).into());
                }
            }
        }
    }

    /// The first failure of a stack's last operation.
    async fn failure(&self, name: &str) -> Result<Option<String>, AwsError> {
        let events = self
            .aws
            .cloudformation("DescribeStackEvents", &[("StackName", name)])
            .await?;
        // Newest first; what failed first is why the others were cancelled.
        let mut oldest_first = events.list("StackEvents").iter().rev();
        let failed = oldest_first.find(|event| {
            let status = event.member("ResourceStatus").unwrap_or_default();
            status.ends_with("_FAILED")
        });
        Ok(failed.map(|event| {
            let part = |name: &str| event.member(name).unwrap_or_default();
            format!("{}: {}", part("LogicalResourceId"), part("ResourceStatusReason"))
        }))
    }

    /// Deletes a stack, and waits until it is gone. One that is gone is success.
    ///
    /// # Errors
    /// When a resource of it cannot be deleted.
    pub async fn delete_stack(&self, stack: &Stack, limit: Duration) -> Made<()> {
        let id = stack.id.as_str();
        let protection = [("StackName", id), ("EnableTerminationProtection", "false")];
        self.aws
            .cloudformation("UpdateTerminationProtection", &protection)
            .await?;
        self.aws.cloudformation("DeleteStack", &[("StackName", id)]).await?;
        let mut timer = Timer::new(format!("deletion of stack {}", stack.name), limit);
        loop {
            let Some(now) = self.stack(id).await? else {
                return Ok(());
            };
            match now.status.as_str() {
                "DELETE_COMPLETE" => return Ok(()),
                "DELETE_FAILED" => {
                    let reason = self.failure(id).await?.unwrap_or(now.reason);
                    return Err(
                        CommandError::Usage(format!("stack {} cannot be deleted: {reason}", stack.name)).into(),
                    );
                }
                status => timer.pause(status).await?,
            }
        }
    }
}
