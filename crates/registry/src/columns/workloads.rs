//! Columns of workloads.
use super::Printer;
/// Columns.
pub static CONTROLLER_REVISIONS: Printer = Printer {
    columns: super::AGE_ONLY.columns,
    cells: |o, n| vec![super::name(o), super::age(o, n)],
};
/// Columns.
pub static CRON_JOBS: Printer = Printer {
    columns: super::AGE_ONLY.columns,
    cells: |o, n| vec![super::name(o), super::age(o, n)],
};
/// Columns.
pub static DAEMON_SETS: Printer = Printer {
    columns: super::AGE_ONLY.columns,
    cells: |o, n| vec![super::name(o), super::age(o, n)],
};
/// Columns.
pub static DEPLOYMENTS: Printer = Printer {
    columns: super::AGE_ONLY.columns,
    cells: |o, n| vec![super::name(o), super::age(o, n)],
};
/// Columns.
pub static HORIZONTAL_POD_AUTOSCALERS: Printer = Printer {
    columns: super::AGE_ONLY.columns,
    cells: |o, n| vec![super::name(o), super::age(o, n)],
};
/// Columns.
pub static JOBS: Printer = Printer {
    columns: super::AGE_ONLY.columns,
    cells: |o, n| vec![super::name(o), super::age(o, n)],
};
/// Columns.
pub static POD_TEMPLATES: Printer = Printer {
    columns: super::AGE_ONLY.columns,
    cells: |o, n| vec![super::name(o), super::age(o, n)],
};
/// Columns.
pub static REPLICATION_CONTROLLERS: Printer = Printer {
    columns: super::AGE_ONLY.columns,
    cells: |o, n| vec![super::name(o), super::age(o, n)],
};
/// Columns.
pub static REPLICA_SETS: Printer = Printer {
    columns: super::AGE_ONLY.columns,
    cells: |o, n| vec![super::name(o), super::age(o, n)],
};
/// Columns.
pub static STATEFUL_SETS: Printer = Printer {
    columns: super::AGE_ONLY.columns,
    cells: |o, n| vec![super::name(o), super::age(o, n)],
};
