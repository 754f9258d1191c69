//! Columns of extensions.
use super::Printer;
/// Columns.
pub static API_SERVICES: Printer = Printer {
    columns: super::AGE_ONLY.columns,
    cells: |o, n| vec![super::name(o), super::age(o, n)],
};
/// Columns.
pub static DEFINITIONS: Printer = Printer {
    columns: super::AGE_ONLY.columns,
    cells: |o, n| vec![super::name(o), super::age(o, n)],
};
/// Columns.
pub static FLOW_SCHEMAS: Printer = Printer {
    columns: super::AGE_ONLY.columns,
    cells: |o, n| vec![super::name(o), super::age(o, n)],
};
/// Columns.
pub static MUTATING_POLICIES: Printer = Printer {
    columns: super::AGE_ONLY.columns,
    cells: |o, n| vec![super::name(o), super::age(o, n)],
};
/// Columns.
pub static POLICY_BINDINGS: Printer = Printer {
    columns: super::AGE_ONLY.columns,
    cells: |o, n| vec![super::name(o), super::age(o, n)],
};
/// Columns.
pub static PRIORITY_LEVELS: Printer = Printer {
    columns: super::AGE_ONLY.columns,
    cells: |o, n| vec![super::name(o), super::age(o, n)],
};
/// Columns.
pub static VALIDATING_POLICIES: Printer = Printer {
    columns: super::AGE_ONLY.columns,
    cells: |o, n| vec![super::name(o), super::age(o, n)],
};
/// Columns.
pub static WEBHOOKS: Printer = Printer {
    columns: super::AGE_ONLY.columns,
    cells: |o, n| vec![super::name(o), super::age(o, n)],
};
