//! The FlowSchemas and priority levels that every cluster has: the mandatory ones and those that upstream suggests.
//!
//! Source: `apiserver/pkg/apis/flowcontrol/bootstrap/default.go`.

use k8s_openapi::api::flowcontrol::v1::{
    ExemptPriorityLevelConfiguration, FlowDistinguisherMethod, FlowSchema, FlowSchemaSpec, GroupSubject, LimitResponse,
    LimitedPriorityLevelConfiguration, NonResourcePolicyRule, PolicyRulesWithSubjects, PriorityLevelConfiguration,
    PriorityLevelConfigurationReference, PriorityLevelConfigurationSpec, QueuingConfiguration, ResourcePolicyRule,
    ServiceAccountSubject, Subject, UserSubject,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

/// Names of the objects that are always kept as they are here.
pub const MANDATORY: [&str; 2] = ["exempt", "catch-all"];
/// Annotation of an object that the server keeps as suggested.
pub const AUTO_UPDATE: &str = "apf.kubernetes.io/autoupdate-spec";

/// Name, shares, lendable percent, and queues, hand size and queue length; no queues refuse at once.
type LevelRow = (&'static str, i32, i32, Option<(i32, i32, i32)>);

const LEVELS: &[LevelRow] = &[
    ("catch-all", 5, 0, None),
    ("system", 30, 33, Some((64, 6, 50))),
    ("node-high", 40, 25, Some((64, 6, 50))),
    ("leader-election", 10, 0, Some((16, 4, 50))),
    ("workload-high", 40, 50, Some((128, 6, 50))),
    ("workload-low", 100, 90, Some((128, 6, 50))),
    ("global-default", 20, 50, Some((128, 6, 50))),
];

/// The priority levels.
pub fn levels() -> Vec<PriorityLevelConfiguration> {
    let exempt = PriorityLevelConfigurationSpec {
        type_: "Exempt".to_owned(),
        exempt: Some(ExemptPriorityLevelConfiguration {
            lendable_percent: Some(0),
            nominal_concurrency_shares: Some(0),
        }),
        limited: None,
    };
    let mut levels = vec![level("exempt", exempt)];
    for (name, shares, lendable, queuing) in LEVELS {
        let queuing = queuing.map(|(queues, hand_size, queue_length_limit)| QueuingConfiguration {
            hand_size: Some(hand_size),
            queue_length_limit: Some(queue_length_limit),
            queues: Some(queues),
        });
        let limited = LimitedPriorityLevelConfiguration {
            borrowing_limit_percent: None,
            lendable_percent: Some(*lendable),
            limit_response: Some(LimitResponse {
                type_: if queuing.is_some() { "Queue" } else { "Reject" }.to_owned(),
                queuing,
            }),
            nominal_concurrency_shares: Some(*shares),
        };
        let spec = PriorityLevelConfigurationSpec {
            type_: "Limited".to_owned(),
            limited: Some(limited),
            exempt: None,
        };
        levels.push(level(name, spec));
    }
    levels
}

fn metadata(name: &str) -> ObjectMeta {
    ObjectMeta {
        name: Some(name.to_owned()),
        annotations: Some([(AUTO_UPDATE.to_owned(), "true".to_owned())].into()),
        ..ObjectMeta::default()
    }
}

fn level(name: &str, spec: PriorityLevelConfigurationSpec) -> PriorityLevelConfiguration {
    PriorityLevelConfiguration {
        metadata: metadata(name),
        spec: Some(spec),
        status: None,
    }
}

const CONTROLLERS: &str = "system:kube-controller-manager";
const SCHEDULER: &str = "system:kube-scheduler";
/// What elections do.
const CHANGE: &[&str] = &["get", "create", "update"];

/// The FlowSchemas.
pub fn schemas() -> Vec<FlowSchema> {
    let mut schemas = narrow_schemas();
    schemas.extend(wide_schemas());
    schemas
}

/// Those for some resources or paths.
fn narrow_schemas() -> Vec<FlowSchema> {
    let leases =
        |verbs: &[&str], namespace: &str| resource(verbs, "coordination.k8s.io", &["leases"], namespace, false);
    let leaders = vec![user(CONTROLLERS), user(SCHEDULER), account("*")];
    let elections = some(leaders, vec![leases(CHANGE, "kube-system")]);
    let endpoints = vec![
        user(CONTROLLERS),
        account("endpoint-controller"),
        account("endpointslicemirroring-controller"),
    ];
    let endpoints = some(endpoints, vec![resource(CHANGE, "", &["endpoints"], "*", false)]);
    let workloads = some(vec![account("*")], vec![leases(CHANGE, "*")]);
    let nodes = resource(&["*"], "", &["nodes", "nodes/status"], "*", true);
    let nodes = some(vec![group("system:nodes")], vec![nodes, leases(&["*"], "*")]);
    let probes = PolicyRulesWithSubjects {
        subjects: everyone().to_vec(),
        non_resource_rules: Some(vec![NonResourcePolicyRule {
            verbs: vec!["get".to_owned()],
            non_resource_urls: ["/healthz", "/readyz", "/livez"].map(str::to_owned).to_vec(),
        }]),
        resource_rules: None,
    };
    vec![
        schema("probes", "exempt", 2, None, probes),
        schema("system-leader-election", "leader-election", 100, USER, elections),
        schema("endpoint-controller", "workload-high", 150, USER, endpoints),
        schema("workload-leader-election", "leader-election", 200, USER, workloads),
        schema("system-node-high", "node-high", 400, USER, nodes),
    ]
}

/// Those for whatever somebody asks: name, level, precedence, what tells flows apart, and who.
fn wide_schemas() -> Vec<FlowSchema> {
    let nodes = vec![group("system:nodes")];
    let accounts = vec![group("system:serviceaccounts")];
    let all = everyone().to_vec();
    let rows = [
        ("exempt", "exempt", 1, None, vec![group("system:masters")]),
        ("system-nodes", "system", 500, USER, nodes),
        (
            "kube-controller-manager",
            "workload-high",
            800,
            NAMESPACE,
            vec![user(CONTROLLERS)],
        ),
        ("kube-scheduler", "workload-high", 800, NAMESPACE, vec![user(SCHEDULER)]),
        (
            "kube-system-service-accounts",
            "workload-high",
            900,
            NAMESPACE,
            vec![account("*")],
        ),
        ("service-accounts", "workload-low", 9000, USER, accounts),
        ("global-default", "global-default", 9900, USER, all.clone()),
        ("catch-all", "catch-all", 10_000, USER, all),
    ];
    rows.into_iter()
        .map(|(name, level, precedence, by, who)| schema(name, level, precedence, by, anything(&who)))
        .collect()
}

fn everyone() -> [Subject; 2] {
    [group("system:unauthenticated"), group("system:authenticated")]
}

const USER: Option<&str> = Some("ByUser");
const NAMESPACE: Option<&str> = Some("ByNamespace");

fn schema(name: &str, level: &str, precedence: i32, by: Option<&str>, rules: PolicyRulesWithSubjects) -> FlowSchema {
    let spec = FlowSchemaSpec {
        distinguisher_method: by.map(|by| FlowDistinguisherMethod { type_: by.to_owned() }),
        matching_precedence: Some(precedence),
        priority_level_configuration: PriorityLevelConfigurationReference { name: level.to_owned() },
        rules: Some(vec![rules]),
    };
    FlowSchema {
        metadata: metadata(name),
        spec: Some(spec),
        status: None,
    }
}

/// These subjects, whatever they ask for.
fn anything(subjects: &[Subject]) -> PolicyRulesWithSubjects {
    PolicyRulesWithSubjects {
        subjects: subjects.to_vec(),
        resource_rules: Some(vec![resource(&["*"], "*", &["*"], "*", true)]),
        non_resource_rules: Some(vec![NonResourcePolicyRule {
            verbs: vec!["*".to_owned()],
            non_resource_urls: vec!["*".to_owned()],
        }]),
    }
}

/// These subjects, when they ask for some resources.
fn some(subjects: Vec<Subject>, rules: Vec<ResourcePolicyRule>) -> PolicyRulesWithSubjects {
    PolicyRulesWithSubjects {
        subjects,
        resource_rules: Some(rules),
        non_resource_rules: None,
    }
}

fn resource(verbs: &[&str], group: &str, names: &[&str], namespace: &str, cluster: bool) -> ResourcePolicyRule {
    let texts = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect::<Vec<String>>();
    ResourcePolicyRule {
        api_groups: vec![group.to_owned()],
        cluster_scope: cluster.then_some(true),
        namespaces: Some(vec![namespace.to_owned()]),
        resources: texts(names),
        verbs: texts(verbs),
    }
}

fn user(name: &str) -> Subject {
    Subject {
        kind: "User".to_owned(),
        user: Some(UserSubject { name: name.to_owned() }),
        ..Subject::default()
    }
}

fn group(name: &str) -> Subject {
    Subject {
        kind: "Group".to_owned(),
        group: Some(GroupSubject { name: name.to_owned() }),
        ..Subject::default()
    }
}

/// A service account of kube-system.
fn account(name: &str) -> Subject {
    let subject = ServiceAccountSubject {
        name: name.to_owned(),
        namespace: "kube-system".to_owned(),
    };
    Subject {
        kind: "ServiceAccount".to_owned(),
        service_account: Some(subject),
        ..Subject::default()
    }
}
